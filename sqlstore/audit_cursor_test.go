package sqlstore

import (
	"errors"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// A cursor comes back from a client, who may have changed it.
func FuzzParseCursor(f *testing.F) {
	f.Add(cursor(deskyard.AuditEvent{ID: "0193", At: time.Unix(1, 2)}))
	f.Add("_")
	f.Add("-9223372036854775809_x")
	f.Fuzz(func(t *testing.T, s string) {
		at, id, err := parseCursor(s)
		if err != nil {
			var refused *arm.Error
			if !errors.As(err, &refused) || refused.Kind != arm.Invalid {
				t.Fatalf("error %v of %q", err, s)
			}
			return
		}
		if at2, id2, err := parseCursor(cursor(deskyard.AuditEvent{ID: id, At: time.Unix(0, at)})); err != nil || id2 == id && at2 != at && at != 0 {
			t.Fatalf("%q is %d %q and then %d %q, %v", s, at, id, at2, id2, err)
		}
	})
}
