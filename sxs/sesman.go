package sxs

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/deskyard/deskyard/reverse"
)

// sesman reads what xrdp's session manager writes to its log (0.9.21; levels INFO and
// ERROR). It keeps what PAM said until it is known whom that was about.
type sesman struct{ pam []string }

// mostPAM bounds what PAM may say of one attempt.
const mostPAM = 16

var (
	logLine     = regexp.MustCompile(`^\[[^\]]{1,40}\] \[[A-Z]{2,8} *\] (.*)$`)
	pamSaid     = regexp.MustCompile(`^(?:PAM|pam_(?:authenticate|acct_mgmt|setcred|open_session) failed): (.*)$`)
	authFail    = regexp.MustCompile(`^AUTHFAIL: user=(.*) ip=\S* time=\d+$`)
	groupFail   = regexp.MustCompile(`^Username okay but group problem for user: (.*)$`)
	sessionsFul = regexp.MustCompile(`^max concurrent session limit exceeded\. login for user (.*) denied$`)
	created     = regexp.MustCompile(`^\+\+ created session \(access granted\): username .*, ip \S+:(\d{1,5}) - socket: \d+$`)
	reconnected = regexp.MustCompile(`^\+\+ reconnected session: username .*, display :(\d+)\.0, session_pid \d+, ip \S+:(\d{1,5}) - socket: \d+$`)
	starting    = regexp.MustCompile(`^Starting session: session_pid \d+, display :(\d+)\.0, .*client ip \S+:(\d{1,5}) - socket: \d+, user name .*$`)
	startsWM    = regexp.MustCompile(`^Starting (?:the default window manager on display|user requested window manager on display|window manager on display) (\d+)\b`)
	wmExited    = regexp.MustCompile(`^Window manager \(pid \d+, display (\d+)\) exited with non-zero exit code (\d{1,3}) and signal \d+`)
)

// read takes a line and gives what it is about; false where nobody needs to know.
func (s *sesman) read(line string) (signIn, bool) {
	m := logLine.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
	if m == nil {
		return signIn{}, false
	}
	text := m[1]
	if strings.Contains(text, "connection received from") {
		s.pam = nil // what was said before is of others
	}
	if m := pamSaid.FindStringSubmatch(text); m != nil {
		if len(s.pam) < mostPAM {
			s.pam = append(s.pam, m[1])
		}
		return signIn{}, false
	}
	refused := func(user, cause, detail string) (signIn, bool) {
		s.pam = nil
		return signIn{kind: refusedIn, user: plain(user, 100), cause: cause, detail: plain(detail, 300)}, true
	}
	if m := authFail.FindStringSubmatch(text); m != nil {
		cause, detail := causeOf(s.pam)
		return refused(m[1], cause, detail)
	}
	if m := groupFail.FindStringSubmatch(text); m != nil {
		return refused(m[1], reverse.CauseNoRight, "")
	}
	if m := sessionsFul.FindStringSubmatch(text); m != nil {
		return refused(m[1], reverse.CauseFull, "")
	}
	return s.session(text)
}

// session reads what is about a session.
func (s *sesman) session(text string) (signIn, bool) {
	if m := created.FindStringSubmatch(text); m != nil {
		s.pam = nil
		return signIn{kind: signedIn, port: number(m[1])}, true
	}
	if m := reconnected.FindStringSubmatch(text); m != nil {
		s.pam = nil
		return signIn{kind: broughtBack, display: m[1], port: number(m[2])}, true
	}
	if m := starting.FindStringSubmatch(text); m != nil {
		return signIn{kind: onDisplay, display: m[1], port: number(m[2])}, true
	}
	if m := startsWM.FindStringSubmatch(text); m != nil {
		return signIn{kind: startsShell, display: m[1]}, true
	}
	if m := wmExited.FindStringSubmatch(text); m != nil {
		return signIn{kind: shellGone, display: m[1], code: number(m[2])}, true
	}
	return signIn{}, false
}

// number is that of a few digits.
func number(digits string) int {
	n, _ := strconv.Atoi(digits) // at most five digits, by the expressions
	return n
}

// plain bounds and cleans what others wrote before it travels.
func plain(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return -1
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return strings.TrimSpace(s)
}

// issuerNumber is that of the service's directory, in what its hook says to PAM.
var issuerNumber = regexp.MustCompile(`deskyard: aadsts(\d{4,9}):`)

// causeOfIssuer tells it by Entra's numbers.
func causeOfIssuer(number string, has func(...string) bool) string {
	switch number {
	case "50126", "50034", "50020":
		return reverse.CauseCredentials
	case "50053":
		return reverse.CauseLocked
	case "50057":
		if has("has expired") {
			return reverse.CauseExpired
		}
		return reverse.CauseDisabled
	case "50055":
		if has("must be changed") {
			return reverse.CauseMustChange
		}
		return reverse.CauseOldPassword
	case "53003":
		if has("not granted") {
			return reverse.CauseNoRight
		}
		return reverse.CauseNotAllowed
	case "50076": // a second factor is needed, for which the page has no place
		return reverse.CauseNotAllowed
	}
	return reverse.CauseOther
}

// causeOf tells from PAM's words why somebody was refused. What its modules say for
// people is more than its own codes: pam_unix refuses an account that has expired with
// the code of a wrong password.
func causeOf(pam []string) (cause, detail string) {
	all := strings.ToLower(strings.Join(pam, "\n"))
	for _, text := range pam {
		detail = text
		if !strings.EqualFold(text, "Authentication failure") && !strings.EqualFold(text, "Permission denied") {
			break // the first that says more than a code
		}
	}
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(all, w) {
				return true
			}
		}
		return false
	}
	if m := issuerNumber.FindStringSubmatch(all); m != nil {
		return causeOfIssuer(m[1], has), detail
	}
	switch {
	case has("locked"):
		return reverse.CauseLocked, detail
	case has("disabled"):
		return reverse.CauseDisabled, detail
	case has("account has expired", "account expired"):
		return reverse.CauseExpired, detail
	case has("password expired", "password has expired", "authentication token expired"):
		return reverse.CauseOldPassword, detail
	case has("change your password", "must change", "new one required"):
		return reverse.CauseMustChange, detail
	case has("authentication failure", "user not known", "invalid credentials", "no such user"):
		return reverse.CauseCredentials, detail
	case has("permission denied", "not allowed", "access denied", "going down"):
		return reverse.CauseNotAllowed, detail
	}
	return reverse.CauseOther, detail
}
