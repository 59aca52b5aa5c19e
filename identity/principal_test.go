package identity

import (
	"slices"
	"strings"
	"testing"

	"github.com/deskyard/deskyard/arm"
)

func TestAPrincipalIsFoundByIdAndNameUntilItIsDisabled(t *testing.T) {
	y := newYard(t)
	ctx := t.Context()
	ann, _, err := y.CreateUser(ctx, NewUser{UPN: "ann@desk.test"})
	if err != nil {
		t.Fatal(err)
	}
	g, err := y.CreateGroup(ctx, "g", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := y.AddMember(ctx, g.ObjectID, ann.ObjectID); err != nil {
		t.Fatal(err)
	}
	for _, by := range []string{ann.ObjectID, strings.ToUpper(ann.ObjectID), "Ann@desk.test"} {
		p, err := y.Principal(ctx, by)
		if err != nil || p.ObjectID != ann.ObjectID || p.Name != "ann@desk.test" || p.Kind != "User" || !slices.Equal(p.Groups, []string{g.ObjectID}) {
			t.Errorf("by %s: %+v, %v", by, p, err)
		}
	}
	off := true
	if _, err := y.UpdateUser(ctx, ann.ObjectID, UserChange{Disabled: &off}); err != nil {
		t.Fatal(err)
	}
	for _, by := range []string{ann.ObjectID, "bob@desk.test"} {
		if _, err := y.Principal(ctx, by); !arm.IsMissing(err) {
			t.Errorf("by %s: %v", by, err)
		}
	}
}
