package sqlstore

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/deskyard/deskyard/arm"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestAnEnvelopeDecodesAsEncodingJSONDecodesIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[a-zA-Z0-9 @._-]{1,20}`), rapid.String())
		moment := rapid.Custom(func(t *rapid.T) time.Time {
			return time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "s"), rapid.Int64Range(0, 1e9-1).Draw(t, "ns")).UTC()
		})
		e := arm.Envelope{Location: word.Draw(t, "location"), Kind: word.Draw(t, "kind"), ManagedBy: word.Draw(t, "managedBy"),
			SystemData: arm.SystemData{CreatedBy: word.Draw(t, "by"), CreatedByType: word.Draw(t, "type"), CreatedAt: moment.Draw(t, "at"),
				LastModifiedBy: word.Draw(t, "by"), LastModifiedByType: word.Draw(t, "type"), LastModifiedAt: moment.Draw(t, "at")}}
		if rapid.Bool().Draw(t, "tagged") {
			e.Tags = rapid.MapOfN(word, word, 0, 5).Draw(t, "tags")
		}
		if rapid.Bool().Draw(t, "identified") {
			id := word.Draw(t, "principal")
			e.Identity = &arm.Identity{Type: "SystemAssigned", PrincipalID: &id}
			e.SKU = json.RawMessage(`{"name":"s"}`)
		}
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		sameEnvelope(t, string(text))
	})
}

func TestAPlainEnvelopeNeedsNoFallback(t *testing.T) {
	c := plainJSON{all: `{"location":"l","tags":{"a":"b"},"systemData":{"createdBy":"a@b","createdByType":"User","createdAt":"2026-11-22T10:11:12.3456789Z",` +
		`"lastModifiedBy":"","lastModifiedByType":"","lastModifiedAt":"0001-01-01T00:00:00Z"}}`}
	if _, ok := c.envelope(); !ok || !c.finished() {
		t.Fatalf("stopped before %q", c.all[c.next:])
	}
}

func FuzzDecodeEnvelope(f *testing.F) {
	f.Add(`{"location":"l","tags":{"a":"b"},"systemData":{"createdBy":"a\u003cb"}}`)
	f.Add(`{"location":"l"`)
	f.Add(`{"tags":{"a":"b",}}`)
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := decodeEnvelope(text); err != nil && json.Unmarshal([]byte(text), &arm.Envelope{}) == nil {
			t.Fatalf("%q: %v, which encoding/json reads", text, err)
		}
	})
}

func sameEnvelope(t *rapid.T, text string) {
	var want arm.Envelope
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	got, err := decodeEnvelope(text)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("%s: (-want +got)\n%s", text, d)
	}
}
