package feed

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/ntlm"
)

const (
	// feedCookie is the name that clients expect ([MS-TSWP] 2.2.2).
	feedCookie = ".ASPXAUTH"
	cookieLife = 8 * time.Hour

	challengeLife = 30 * time.Second
	maxChallenges = 10_000
)

// challenge is what a client has to answer on the connection that it got it on.
type challenge struct {
	nonce [8]byte
	made  time.Time
}

// challenges are those under way, by the peer's address and port: NTLM signs in a
// connection.
type challenges struct {
	mu   sync.Mutex // guards made
	made map[string]challenge
}

// make draws a challenge; false where too many are under way.
func (c *challenges) make(peer string, now time.Time) (n [8]byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.made) >= maxChallenges {
		for p, x := range c.made {
			if now.Sub(x.made) > challengeLife {
				delete(c.made, p)
			}
		}
	}
	if len(c.made) >= maxChallenges {
		return n, false
	}
	_, _ = rand.Read(n[:]) // never fails
	c.made[peer] = challenge{n, now}
	return n, true
}

// take gives a challenge to be answered, once.
func (c *challenges) take(peer string, now time.Time) (n [8]byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, ok := c.made[peer]
	delete(c.made, peer)
	return x.nonce, ok && now.Sub(x.made) <= challengeLife
}

var errAnswered = errors.New("answered with a challenge")

// byNTLM signs in a client that knows no tokens. While the exchange goes on it answers
// the request itself and gives errAnswered.
func (d *Door) byNTLM(w http.ResponseWriter, r *http.Request) (deskyard.Principal, error) {
	ask := func(header string) (deskyard.Principal, error) {
		w.Header().Set("WWW-Authenticate", header)
		http.Error(w, "Sign in with your user name and an app password.", http.StatusUnauthorized)
		return deskyard.Principal{}, errAnswered
	}
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	message, err := base64.StdEncoding.DecodeString(text)
	if !strings.EqualFold(scheme, "NTLM") || err != nil {
		return ask("NTLM")
	}
	if ntlm.IsNegotiate(message) {
		nonce, ok := d.challenges.make(r.RemoteAddr, d.now())
		if !ok {
			return deskyard.Principal{}, arm.Errorf(arm.Throttled, "TooManyRequests", "Too many clients are signing in. Try again in a minute.")
		}
		return ask("NTLM " + base64.StdEncoding.EncodeToString(ntlm.Challenge(strings.ToUpper(firstLabel(d.o.Domain)), nonce, d.now())))
	}
	nonce, ok := d.challenges.take(r.RemoteAddr, d.now())
	a, err := ntlm.ParseAnswer(message)
	if !ok || err != nil {
		return ask("NTLM")
	}
	p, err := d.o.Accounts.NTLM(r.Context(), a, nonce, d.o.Domain)
	var refused *arm.Error
	if errors.As(err, &refused) && refused.Kind == arm.Unauthenticated {
		d.log.InfoContext(r.Context(), "feed client refused", "user", a.User, "client", r.RemoteAddr)
		return ask("NTLM")
	}
	return p, err
}

func firstLabel(domain string) string {
	label, _, _ := strings.Cut(domain, ".")
	return label
}

// cookieFor is what a feed client shows from its sign-in on: whose it is and until when,
// with a MAC.
func (d *Door) cookieFor(p deskyard.Principal) string {
	payload := p.ObjectID + "." + strconv.FormatInt(d.now().Add(cookieLife).Unix(), 10)
	return payload + "." + base64.RawURLEncoding.EncodeToString(d.mac(payload))
}

func (d *Door) mac(payload string) []byte {
	m := hmac.New(sha256.New, d.o.Key)
	m.Write([]byte("feed cookie\n" + payload)) // never fails
	return m.Sum(nil)
}

var errNoCookie = errors.New("no cookie of the feed's sign-in")

// byCookie finds whose cookie a feed client shows. A user who was disabled since is
// nobody's.
func (d *Door) byCookie(r *http.Request) (deskyard.Principal, error) {
	c, err := r.Cookie(feedCookie)
	if err != nil {
		return deskyard.Principal{}, errNoCookie
	}
	cut := strings.LastIndexByte(c.Value, '.')
	if cut < 0 {
		return deskyard.Principal{}, errNoCookie
	}
	payload := c.Value[:cut]
	sum, err := base64.RawURLEncoding.DecodeString(c.Value[cut+1:])
	at := strings.LastIndexByte(payload, '.')
	id, until := payload[:max(at, 0)], payload[at+1:]
	seconds, notNumber := strconv.ParseInt(until, 10, 64)
	if err != nil || !hmac.Equal(sum, d.mac(payload)) || notNumber != nil || d.now().Unix() >= seconds {
		return deskyard.Principal{}, errNoCookie
	}
	p, err := d.o.Accounts.Principal(r.Context(), id)
	if arm.IsMissing(err) {
		return p, errNoCookie
	}
	if err != nil {
		return p, fmt.Errorf("find user %s: %w", id, err)
	}
	return p, nil
}
