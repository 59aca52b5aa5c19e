package agentapi

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reverse"
	"github.com/deskyard/deskyard/signon"
)

func TestAGuestSignsPeopleInOverItsLinkAlone(t *testing.T) {
	var asked []SignIn
	d := openDoor(t, func(o *Options) {
		o.SignIn = func(_ context.Context, a SignIn) (reverse.GuestSignedIn, error) {
			asked = append(asked, a)
			switch a.Password {
			case "Pass-Word-1":
				return reverse.GuestSignedIn{ObjectID: "11111111-1111-4111-8111-111111111111", UPN: "anna@yard.example", Administrator: true}, nil
			case "broken":
				return reverse.GuestSignedIn{}, errors.New("the store is gone")
			}
			return reverse.GuestSignedIn{}, arm.Errorf(arm.Unauthenticated, reverse.GuestSignInRefused, "AADSTS50126: no")
		}
	})
	m, _ := d.made("vm-1")
	m.boot()
	m.linked()
	try := func(password string) (signon.Person, error) {
		return m.guest.SignIn(t.Context(), "anna@yard.example", password, "10.0.0.7")
	}
	if _, err := try("Pass-Word-1"); !errors.Is(err, signon.ErrNotJoined) || len(asked) != 0 {
		t.Errorf("before the join: %v", err)
	}
	if err := os.WriteFile(filepath.Join(m.dir, "tenant"), []byte("tenant-1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the link as the guest sees it", func() bool { _, err := try("Pass-Word-1"); return err == nil })
	who, err := try("Pass-Word-1")
	a := asked[len(asked)-1]
	if err != nil || who.UPN != "anna@yard.example" || !who.Administrator || !a.VM.Equal(m.vm) || a.Machine != m.id || a.From != "10.0.0.7" || a.Request == nil {
		t.Errorf("%+v, %v; asked %+v", who, err, a.VM)
	}
	var refused *signon.Refusal
	if _, err := try("wrong"); !errors.As(err, &refused) || refused.Reason != "AADSTS50126: no" {
		t.Errorf("a wrong password: %v", err)
	}
	if _, err := try("broken"); err == nil || errors.As(err, &refused) {
		t.Errorf("a fault of the service: %v", err)
	}
	if _, err := try(strings.Repeat("x", 600)); err == nil {
		t.Error("a password of 600 bytes was taken")
	}
	if code := d.raw(reverse.GuestSignInPath, reverse.GuestSignIn{Session: "stolen", Name: "anna@yard.example", Password: "Pass-Word-1"}, nil); code != "SessionEnded" {
		t.Errorf("without a link: %s", code)
	}
	m.halt()
	if _, err := try("Pass-Word-1"); err == nil || !strings.Contains(err.Error(), "no link") {
		t.Errorf("after the link's end: %v", err)
	}
	if strings.Contains(m.log.String(), "Pass-Word-1") {
		t.Error("the password is in the guest's log")
	}
}
