package sxs

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/reverse"
)

// written is what xrdp-sesman 0.9.21 wrote of a wrong password, an unknown account, one
// that had expired, a new session, a return to it, and its end.
const written = `[20261123-16:31:08] [INFO ] Socket 12: AF_INET6 connection received from ::1 port 41642
[20261123-16:31:10] [ERROR] pam_authenticate failed: Authentication failure
[20261123-16:31:10] [INFO ] AUTHFAIL: user=ann ip=127.0.0.1 time=1795451470
[20261123-16:31:10] [ERROR] sesman_data_in: scp_process_msg failed
[20261123-16:31:19] [INFO ] Socket 12: AF_INET6 connection received from ::1 port 55982
[20261123-16:31:19] [ERROR] PAM: Your account has expired; please contact your system administrator.
[20261123-16:31:19] [ERROR] pam_acct_mgmt failed: Authentication failure
[20261123-16:31:19] [INFO ] AUTHFAIL: user=ann ip=127.0.0.1 time=1795451479
[20261123-16:31:25] [INFO ] Terminal Server Users group is disabled, allowing authentication
[20261123-16:31:25] [INFO ] ++ created session (access granted): username ann, ip 127.0.0.1:48246 - socket: 12
[20261123-16:31:25] [INFO ] starting Xorg session...
[20261123-16:31:25] [INFO ] Starting session: session_pid 11902, display :170.0, width 640, height 480, bpp 24, client ip 127.0.0.1:48246 - socket: 12, user name ann
[20261123-16:31:26] [INFO ] Session started successfully for user ann on display 170
[20261123-16:31:26] [INFO ] Starting the default window manager on display 170: /etc/xrdp/startwm.sh
[20261123-16:31:38] [INFO ] ++ reconnected session: username ann, display :170.0, session_pid 11902, ip 127.0.0.1:56510 - socket: 12
[20261123-16:31:50] [WARN ] Window manager (pid 11903, display 170) exited with non-zero exit code 15 and signal 0. This could indicate a window manager config problem
`

// readings reads lines as the log is read.
func readings(text string) (all []signIn) {
	var s sesman
	for line := range strings.Lines(text) {
		if e, ok := s.read(line); ok {
			all = append(all, e)
		}
	}
	return all
}

func TestTheSessionManagersWordsAreUnderstood(t *testing.T) {
	want := []signIn{
		{kind: refusedIn, user: "ann", cause: reverse.CauseCredentials, detail: "Authentication failure"},
		{kind: refusedIn, user: "ann", cause: reverse.CauseExpired, detail: "Your account has expired; please contact your system administrator."},
		{kind: signedIn, port: 48246},
		{kind: onDisplay, port: 48246, display: "170"},
		{kind: startsShell, display: "170"},
		{kind: broughtBack, port: 56510, display: "170"},
		{kind: shellGone, display: "170", code: 15},
	}
	got := readings(written)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, c := range []struct{ text, cause string }{
		{"[t] [INFO ] Username okay but group problem for user: ann", reverse.CauseNoRight},
		{"[t] [ERROR] max concurrent session limit exceeded. login for user ann denied", reverse.CauseFull},
	} {
		if got := readings(c.text); len(got) != 1 || got[0].cause != c.cause || got[0].user != "ann" {
			t.Errorf("%s: %+v", c.text, got)
		}
	}
}

func TestPAMsWordsBecomeCauses(t *testing.T) {
	for _, c := range []struct {
		pam   []string
		cause string
	}{
		{[]string{"Authentication failure"}, reverse.CauseCredentials},
		{[]string{"User not known to the underlying authentication module"}, reverse.CauseCredentials},
		{[]string{"The account is locked due to 3 failed logins.", "Authentication failure"}, reverse.CauseLocked},
		{[]string{"Your account has been locked. Please contact your System administrator", "Authentication failure"}, reverse.CauseLocked},
		{[]string{"Your account is disabled. Please see your system administrator", "Permission denied"}, reverse.CauseDisabled},
		{[]string{"User account has expired"}, reverse.CauseExpired},
		{[]string{"You are required to change your password immediately (password expired).", "Authentication token is no longer valid; new one required"}, reverse.CauseOldPassword},
		{[]string{"You are required to change your password immediately (administrator enforced).", "Authentication token is no longer valid; new one required"}, reverse.CauseMustChange},
		{[]string{"Authentication token expired"}, reverse.CauseOldPassword},
		{[]string{"Permission denied"}, reverse.CauseNotAllowed},
		{[]string{"Warning: your password will expire in 5 days.", "Module is unknown"}, reverse.CauseOther},
		{nil, reverse.CauseOther},
		{[]string{"Deskyard: AADSTS50126: Error validating credentials due to invalid username or password, or the account is locked for a while after too many attempts.", "Authentication failure"}, reverse.CauseCredentials},
		{[]string{"Deskyard: AADSTS50053: The account is locked in its directory.", "Authentication failure"}, reverse.CauseLocked},
		{[]string{"Deskyard: AADSTS50057: The user account is disabled.", "Authentication failure"}, reverse.CauseDisabled},
		{[]string{"Deskyard: AADSTS50057: The user account has expired. Ask your administrator to extend it.", "Authentication failure"}, reverse.CauseExpired},
		{[]string{"Deskyard: AADSTS50055: The password must be changed first.", "Authentication failure"}, reverse.CauseMustChange},
		{[]string{"Deskyard: AADSTS50055: The password has expired.", "Authentication failure"}, reverse.CauseOldPassword},
		{[]string{"Deskyard: AADSTS53003: Access has been blocked by the account's directory: this way of signing in is not granted.", "Authentication failure"}, reverse.CauseNoRight},
		{[]string{"Deskyard: AADSTS53003: Access has been blocked by the account's directory: not at this hour.", "Authentication failure"}, reverse.CauseNotAllowed},
		{[]string{"Deskyard: AADSTS50076: You must use multi-factor authentication to sign in.", "Authentication failure"}, reverse.CauseNotAllowed},
		{[]string{"Deskyard: AADSTS90056: Too many sign-in attempts from this address.", "Authentication failure"}, reverse.CauseOther},
	} {
		if got, _ := causeOf(c.pam); got != c.cause {
			t.Errorf("%q is %q, want %q", c.pam, got, c.cause)
		}
	}
}

// following is legs whose pages are open: name@port.
func following(names map[int]string, since time.Time) *legs {
	l := &legs{log: slog.New(slog.DiscardHandler), news: newNews()}
	for port, name := range names {
		l.follow(port, &page{connection: fmt.Sprint("c", port), user: name, since: since})
	}
	return l
}

// events are those of the news, as "connection what cause".
func (l *legs) told() string {
	var all []string
	for _, e := range l.news.read().Events {
		all = append(all, strings.TrimSpace(e.Connection+" "+e.What+" "+e.Cause))
	}
	return strings.Join(all, ", ")
}

func TestASessionsBeginIsToldOfItsConnection(t *testing.T) {
	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	l := following(map[int]string{48246: "ann@example.org", 56510: "ann@example.org", 7: "bob@example.org"}, at)
	all := readings(written)
	l.heard(all[2:5], at.Add(time.Second))
	if got := l.told(); got != "c48246 signedIn" {
		t.Fatal(got)
	}
	l.heard(nil, at.Add(2*time.Second)) // the program still runs
	l.heard(all[5:], at.Add(12*time.Second))
	l.heard(nil, at.Add(13*time.Second))
	if got := l.told(); got != "c48246 signedIn, c48246 shell, c56510 signedIn, c56510 shell" {
		t.Error(got)
	}
	if e := l.news.read().Events[1]; e.After != time.Second {
		t.Errorf("the shell was there after %v", e.After)
	}
}

func TestAProgramThatIsNotThereIsToldInsteadOfItsStart(t *testing.T) {
	at := time.Now()
	l := following(map[int]string{48246: "ann"}, at)
	text := strings.Replace(written, "exit code 15", "exit code 127", 1)
	all := readings(text)
	l.heard(append(all[2:5:5], all[6]), at)
	l.heard(nil, at.Add(time.Minute))
	if got := l.told(); got != "c48246 signedIn, c48246 notFound" {
		t.Error(got)
	}
	// One that ran for a while and ends so was there.
	l = following(map[int]string{48246: "ann"}, at)
	l.heard(all[2:5], at)
	l.heard(nil, at.Add(time.Minute))
	l.heard(all[6:], at.Add(time.Hour))
	if got := l.told(); got != "c48246 signedIn, c48246 shell" {
		t.Error(got)
	}
}

func TestARefusalIsToldOfTheRightConnectionOrOfNone(t *testing.T) {
	refusal := func(user string) []signIn {
		return []signIn{{kind: refusedIn, user: user, cause: reverse.CauseCredentials}}
	}
	for name, c := range map[string]struct {
		open  map[int]string
		typed string
		want  string
	}{
		"the only one":             {map[int]string{1: "ann@example.org"}, "somebody", "c1 refused credentials"},
		"one of two, by name":      {map[int]string{1: "ann@example.org", 2: "bob@example.org"}, "BOB", "c2 refused credentials"},
		"by principal name":        {map[int]string{1: "ann@example.org", 2: "bob@example.org"}, "ann@example.org", "c1 refused credentials"},
		"by domain":                {map[int]string{1: "ann@example.org", 2: "bob@example.org"}, `EXAMPLE\ann`, "c1 refused credentials"},
		"another's open page":      {map[int]string{1: "ann@example.org", -2: "bob@example.org"}, "bob", "c-2 refused credentials"},
		"who tries again":          {map[int]string{-1: "ann@example.org", 2: "ann@example.org"}, "ann", "c2 refused credentials"},
		"who left after who left":  {map[int]string{-1: "ann@example.org", -3000: "ann@example.org"}, "ann", "c-1 refused credentials"},
		"who has just left":        {map[int]string{-1: "ann@example.org"}, "somebody", "c-1 refused credentials"},
		"two of the same name":     {map[int]string{1: "ann@example.org", 2: "ann@example.com"}, "ann", ""},
		"a name that nobody has":   {map[int]string{1: "ann@example.org", 2: "bob@example.org"}, "eve", ""},
		"nothing typed":            {map[int]string{1: "", 2: ""}, "", ""},
		"who is in is not refused": {map[int]string{1: "ann@example.org", 48246: "bob@example.org"}, "bob", "c48246 signedIn, c1 refused credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			l := following(c.open, time.Now())
			for port := range c.open {
				if port < 0 {
					l.left(port, l.pages[port], time.Now().Add(time.Duration(port)*time.Millisecond))
				}
			}
			if c.open[48246] != "" {
				l.heard(readings(written)[2:3], time.Now())
			}
			l.heard(refusal(c.typed), time.Now())
			if got := l.told(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestAPageOutlivesItsLegForAMoment(t *testing.T) {
	at := time.Now()
	l := following(map[int]string{1: "ann"}, at)
	l.left(1, l.pages[1], at)
	l.heard([]signIn{{kind: refusedIn, user: "ann", cause: reverse.CauseLocked}}, at.Add(time.Second))
	l.heard(nil, at.Add(pageFor+time.Second))
	if got := l.told(); got != "c1 refused account locked" || len(l.pages) != 0 || len(l.ended) != 0 {
		t.Errorf("told %q, %d pages", got, len(l.pages))
	}
}

func FuzzSesman(f *testing.F) {
	for line := range strings.Lines(written) {
		f.Add(line)
	}
	f.Add("[t] [INFO ] AUTHFAIL: user=\x00 ip= ip=1 time=1")
	f.Add("[t] [INFO ] ++ created session (access granted): username , ip :99999 - socket: 1")
	f.Fuzz(func(t *testing.T, line string) {
		s := sesman{pam: []string{line}}
		for range 2 * mostPAM {
			e, ok := s.read(line)
			if len(s.pam) > mostPAM+1 {
				t.Fatal("PAM's words are not bounded")
			}
			if !ok || e.kind != refusedIn {
				continue
			}
			seen := reverse.Seen{Connection: "00000000-0000-4000-8000-000000000001", What: reverse.SeenRefused, Cause: e.cause, Detail: e.detail}
			if err := seen.Validate(); err != nil {
				t.Fatalf("%q cannot be told: %v", line, err)
			}
		}
	})
}
