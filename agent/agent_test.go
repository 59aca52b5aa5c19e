package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reverse"
)

func newAgent(t *testing.T, adjust func(*Options)) *Agent {
	t.Helper()
	dir := t.TempDir()
	o := Options{
		StateFile: filepath.Join(dir, "state", "agent.json"), KeyFile: filepath.Join(dir, "key"), Version: "1.0.0",
		Machine: func(context.Context) (deskyard.Machine, error) { return deskyard.Machine{Hostname: "vm-1"}, nil },
		Log:     slog.New(slog.DiscardHandler),
	}
	if adjust != nil {
		adjust(&o)
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestStateSurvivesTheDiskAndHidesItsKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "agent.json")
	seed := make([]byte, 32)
	rand.Read(seed)
	in := State{Registered: reverse.Registered{HostID: "host-1", BrokerURIs: []string{"https://a:1"}}, CAPin: "pin", Seed: seed, Epoch: "e1"}
	if err := in.write(path); err != nil {
		t.Fatal(err)
	}
	out, err := ReadState(path)
	if err != nil || out.HostID != "host-1" || out.Epoch != "e1" || !out.key().Equal(in.key()) {
		t.Fatalf("read %v, %v", out, err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if s := fmt.Sprintf("%v %s", in, in); strings.Contains(s, fmt.Sprint(seed[0], " ", seed[1])) {
		t.Errorf("the key shows in %q", s)
	}
}

func TestABrokenStateFileIsNamedAndNotOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.json")
	for _, bad := range []string{"{", `{"hostId":"h","seed":"AAAA"}`} {
		write(t, path, bad)
		if _, err := ReadState(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func FuzzReadState(f *testing.F) {
	f.Add([]byte(`{"hostId":"h","seed":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","epoch":"e"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "agent.json")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := ReadState(path); err == nil && len(s.Seed) != 0 {
			s.key() // must not panic
		}
	})
}

func TestTheInstallersEmptyKeysCountAsNone(t *testing.T) {
	a := newAgent(t, nil)
	for _, none := range []string{"", "\n", "INVALID_TOKEN\n"} {
		write(t, a.o.KeyFile, none)
		if k, err := a.findKey(); k != "" || err != nil {
			t.Errorf("%q gave %q, %v", none, k, err)
		}
	}
	if _, err := a.enrol(t.Context()); !errors.Is(err, ErrNoKey) {
		t.Errorf("enrol = %v", err)
	}
}

func TestAnErasedKeyIsOverwrittenFirst(t *testing.T) {
	a := newAgent(t, nil)
	write(t, a.o.KeyFile, "the secret key")
	kept, err := os.Open(a.o.KeyFile) // what is left on the disk
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if err := a.eraseKey(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(a.o.KeyFile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
	b := make([]byte, 64)
	n, _ := kept.Read(b)
	if n != len("the secret key") || strings.Contains(string(b[:n]), "secret") {
		t.Errorf("the blocks hold %q", b[:n])
	}
}

func TestAKeyThatCannotBeReadIsRefusedWithoutTheNetwork(t *testing.T) {
	a := newAgent(t, nil)
	write(t, a.o.KeyFile, "eyJ.not.akey")
	var e *arm.Error
	if _, err := a.enrol(t.Context()); !errors.As(err, &e) || e.Code != "INVALID_REGISTRATION_TOKEN" {
		t.Fatalf("enrol = %v", err)
	}
}

func TestWaitingFollowsWhoKnowsBest(t *testing.T) {
	a := newAgent(t, nil)
	a.jitter = func(d time.Duration) time.Duration { return d }
	for _, c := range []struct {
		err  error
		want time.Duration
	}{
		{errors.New("connection refused"), 8 * time.Second},
		{&farewell{reverse.Bye{RetryAfterSeconds: 20}}, 20 * time.Second},
		{&farewell{reverse.Bye{}}, 8 * time.Second},
		{&refused{reverse.Refused{RetryAfterSeconds: 60}}, 76 * time.Second},
		{arm.Errorf(arm.Forbidden, "EXPIRED_REGISTRATION_TOKEN", ""), retryRefused},
		{arm.Errorf(arm.Conflicting, "NAME_ALREADY_REGISTERED", ""), 2 * backoffMost},
		{arm.Errorf(arm.Unavailable, "ServiceUnavailable", ""), 8 * time.Second},
		{ErrNoKey, retryRefused},
	} {
		if got := a.waitAfter(fmt.Errorf("wrapped: %w", c.err), 8*time.Second); got != c.want {
			t.Errorf("after %v: %s, want %s", c.err, got, c.want)
		}
	}
}

func TestReconnectionIsSpreadOverItsWholeSpan(t *testing.T) {
	a := newAgent(t, nil)
	low, high := 0, 0
	for range 1000 {
		d := a.waitAfter(errors.New("down"), time.Minute)
		if d < 0 || d >= time.Minute {
			t.Fatalf("waits %s", d)
		}
		if d < 15*time.Second {
			low++
		}
		if d > 45*time.Second {
			high++
		}
	}
	if low < 150 || high < 150 { // a quarter each, give or take 7 standard deviations
		t.Errorf("of 1000: %d in the first quarter, %d in the last", low, high)
	}
}

func TestAWaitingAgentNoticesANewKey(t *testing.T) {
	a := newAgent(t, nil)
	dir := filepath.Dir(a.o.KeyFile)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		time.AfterFunc(time.Minute, func() {
			if err := os.WriteFile(filepath.Join(dir, "key"), []byte("a key"), 0o600); err != nil {
				t.Error(err)
			}
		})
		if a.pause(t.Context(), time.Hour) {
			t.Error("it waited to the end")
		}
		if d := time.Since(began); d < time.Minute || d > time.Minute+keyEach {
			t.Errorf("noticed after %s", d)
		}
	})
}

func TestTheBoardTellsChangesAndNotTimes(t *testing.T) {
	b := newBoard()
	check := func(at time.Time, result string) {
		b.edit(func(r *deskyard.HostReport) {
			r.Checks = []deskyard.HealthCheck{{Name: deskyard.CheckURLs, Result: result, At: at}}
		})
	}
	if _, known, _ := b.read(); known {
		t.Error("known before any check")
	}
	now := time.Now()
	check(now, deskyard.CheckSucceeded)
	_, known, changed := b.read()
	if !known {
		t.Error("not known after a check")
	}
	check(now.Add(time.Minute), deskyard.CheckSucceeded)
	select {
	case <-changed:
		t.Error("told of a new time alone")
	default:
	}
	check(now.Add(2*time.Minute), deskyard.CheckFailed)
	select {
	case <-changed:
	default:
		t.Error("not told of a failure")
	}
}

func TestChecksRunSoonerWhileOneFails(t *testing.T) {
	for name, c := range map[string]struct {
		age  time.Duration // of the agent
		soon time.Duration
	}{"while the machine comes up": {0, checkNow}, "later": {time.Hour, checkSoon}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				runs, healthyAfter := 0, 3
				a := newAgent(t, func(o *Options) {
					o.Checks = []Check{{deskyard.CheckURLs, func(context.Context, Surroundings) Finding {
						runs++
						return Finding{Failed: runs <= healthyAfter, Message: "x"}
					}}}
				})
				a.began = time.Now().Add(-c.age)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { defer close(done); a.watch(ctx) }()
				time.Sleep(3*c.soon + time.Second/2)
				synctest.Wait()
				if runs != 4 {
					t.Errorf("%d runs in the first %s", runs, 3*c.soon)
				}
				time.Sleep(checkEach - time.Second)
				synctest.Wait()
				if runs != 4 {
					t.Errorf("a healthy host is checked again before %s", checkEach)
				}
				cancel()
				<-done
			})
		})
	}
}

func TestACheckThatHangsIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAgent(t, func(o *Options) {
			o.Checks = []Check{{deskyard.CheckURLs, func(ctx context.Context, _ Surroundings) Finding {
				<-ctx.Done()
				return Finding{Failed: true, Message: ctx.Err().Error()}
			}}}
		})
		began := time.Now()
		a.checkAll(t.Context())
		if d := time.Since(began); d != checkTime {
			t.Errorf("took %s", d)
		}
		if r, _, _ := a.board.read(); r.Checks[0].Result != deskyard.CheckFailed {
			t.Errorf("report %+v", r.Checks)
		}
	})
}

// issue signs a certificate; a nil parent makes a CA of its own.
func issue(t *testing.T, tmpl, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl.SerialNumber, tmpl.Subject = big.NewInt(1), pkix.Name{CommonName: "test"}
	if parent == nil {
		tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.KeyUsage = true, true, x509.KeyUsageCertSign
		parent, parentKey = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c, key
}

func TestTheChainMustLeadToThePinnedCA(t *testing.T) {
	past := func() *x509.Certificate { // long over by this machine's clock
		return &x509.Certificate{NotBefore: time.Now().AddDate(-20, 0, 0), NotAfter: time.Now().AddDate(-10, 0, 0)}
	}
	leafFor := func(name string) *x509.Certificate {
		c := past()
		c.DNSNames, c.ExtKeyUsage = []string{name}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		return c
	}
	ca, caKey := issue(t, past(), nil, nil)
	evil, evilKey := issue(t, past(), nil, nil)
	leaf, leafKey := issue(t, leafFor(reverse.ServerName), ca, caKey)
	other, _ := issue(t, leafFor("public.example.org"), ca, caKey)
	gateway, _ := issue(t, leafFor(reverse.GatewayName), ca, caKey)
	forged, _ := issue(t, leafFor(reverse.ServerName), evil, evilKey)
	_ = leafKey
	pin := reverse.PinOf(ca)
	if err := reverse.VerifyChain([]*x509.Certificate{leaf, ca}, pin, reverse.ServerName); err != nil {
		t.Errorf("the service itself: %v", err)
	}
	for name, chain := range map[string][]*x509.Certificate{
		"nothing":                         nil,
		"another service":                 {forged, evil},
		"a forged leaf with the right CA": {forged, ca},
		"a leaf of the CA for people":     {other, ca},
		"a gateway of the service":        {gateway, ca},
		"a chain without its CA":          {leaf},
	} {
		if err := reverse.VerifyChain(chain, pin, reverse.ServerName); !errors.Is(err, reverse.ErrWrongCA) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := reverse.VerifyChain([]*x509.Certificate{leaf}, reverse.PinOf(leaf), reverse.ServerName); !errors.Is(err, reverse.ErrWrongCA) {
		t.Errorf("a leaf that is pinned as if it were a CA: %v", err)
	}
	err := reverse.VerifyChain([]*x509.Certificate{forged, evil}, pin, reverse.ServerName)
	if !strings.Contains(err.Error(), pin) || !strings.Contains(err.Error(), reverse.PinOf(evil)) {
		t.Errorf("the error does not name both pins: %v", err)
	}
}

func TestAnAnswerThatIsNoMessageEndsTheHandshake(t *testing.T) {
	for name, answer := range map[string]string{
		"another message": `{"type":"report","body":{}}`,
		"no body":         `{"type":"hello"}`,
		"a short nonce":   `{"type":"hello","body":{"version":1,"nonce":"x"}}`,
		"not JSON":        `hello`,
	} {
		here, there := net.Pipe()
		go func() {
			there.Write(append([]byte{0x81, byte(len(answer))}, answer...))
			there.Close()
		}()
		var hello reverse.Hello
		if err := expect(reverse.AgentFrames(here, nil), reverse.TypeHello, &hello); err == nil {
			t.Errorf("%s: accepted", name)
		}
		here.Close()
	}
	here, there := net.Pipe()
	defer here.Close()
	body, _ := json.Marshal(reverse.Refused{Code: reverse.RefusedClone, Message: "a copy", RetryAfterSeconds: 15})
	text := `{"type":"refused","body":` + string(body) + `}`
	go func() { there.Write(append([]byte{0x81, byte(len(text))}, text...)) }()
	var no *refused
	if err := expect(reverse.AgentFrames(here, nil), reverse.TypeHello, &reverse.Hello{}); !errors.As(err, &no) || no.Code != reverse.RefusedClone {
		t.Errorf("a refusal: %v", err)
	}
}
