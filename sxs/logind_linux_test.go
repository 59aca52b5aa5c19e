package sxs

import (
	"log/slog"
	"testing"

	"github.com/deskyard/deskyard/signon"
)

func TestASessionOfADirectoryAccountSaysTheUserPrincipalName(t *testing.T) {
	people := signon.Accounts{{UPN: "Anna@yard.example", Name: "anna@yard.example", UID: 1001}, {UPN: "half@yard.example", Name: "half@yard.example"}}
	for _, c := range []struct {
		session loginSession
		want    string
	}{
		{loginSession{uid: 1001, user: "anna@yard.example"}, "Anna@yard.example"},
		{loginSession{uid: 0, user: "root"}, "root"}, // 0 is the uid of an account that is being made
	} {
		l := &logind{log: slog.New(slog.DiscardHandler), root: "/"}
		if got := l.person(t.Context(), c.session, people); got != c.want {
			t.Errorf("%s: %q, want %q", c.session.user, got, c.want)
		}
	}
}
