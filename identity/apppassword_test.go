package identity

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-ntlmssp"

	"github.com/deskyard/deskyard/ntlm"
)

var shownPassword = regexp.MustCompile(`<p class="code">([a-z2-7]{32})</p>`)

func TestAnAppPasswordIsShownOnceAndProvesItselfByNTLM(t *testing.T) {
	y := newYard(t, withSeal(t))
	b := y.newBrowser()
	page := y.openSecurity(b)
	made := b.do(http.MethodPost, "/security", url.Values{"csrf": {b.hidden(page.text, "csrf")}, "action": {"addPassword"}, "name": {"Tablet"}})
	shown := shownPassword.FindStringSubmatch(made.text)
	if shown == nil {
		t.Fatalf("no password: %d %s", made.status, made.text)
	}
	page = b.do(http.MethodGet, "/security", nil)
	if !strings.Contains(page.text, "Tablet") || strings.Contains(page.text, shown[1]) {
		t.Error("the list lacks the password's name, or shows the password again")
	}
	nonce := [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
	name, domain, _ := strings.Cut(y.creds.AdminUPN, "@")
	right := answerOf(t, name, shown[1], nonce)
	if p, err := y.NTLM(t.Context(), right, nonce, domain); err != nil || p.Name != y.creds.AdminUPN {
		t.Fatalf("%+v, %v", p, err)
	}
	for what, a := range map[string]ntlm.Answer{
		"the account's own password": answerOf(t, name, y.creds.AdminPassword, nonce),
		"another nonce":              answerOf(t, name, shown[1], [8]byte{9}),
		"nobody":                     answerOf(t, "nobody", shown[1], nonce),
	} {
		_, err := y.NTLM(t.Context(), a, nonce, domain)
		if err == nil {
			t.Errorf("%s is taken", what)
			continue
		}
		refused(t, err, "InvalidAuthenticationToken")
	}
	id := regexp.MustCompile(`name="id" value="([^"]+)"`).FindStringSubmatch(page.text)
	location(t, b.do(http.MethodPost, "/security", url.Values{"csrf": {b.hidden(page.text, "csrf")}, "action": {"removePassword"}, "id": {id[1]}}))
	if _, err := y.NTLM(t.Context(), right, nonce, domain); err == nil {
		t.Error("a password that was removed is taken")
	}
}

// answerOf is what a client of another make answers to a challenge.
func answerOf(t *testing.T, user, password string, nonce [8]byte) ntlm.Answer {
	t.Helper()
	message, err := ntlmssp.ProcessChallenge(ntlm.Challenge("DESK", nonce, time.Now()), user, password, true)
	if err != nil {
		t.Fatal(err)
	}
	a, err := ntlm.ParseAnswer(message)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
