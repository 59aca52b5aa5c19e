package agent

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reverse"
	"github.com/deskyard/deskyard/token"
)

// ErrNoKey says that the machine is not registered and has no key to do so.
var ErrNoKey = errors.New("this machine is not registered and has no registration key; write the host pool's key to the key file")

// requestTime bounds one exchange with the service.
const requestTime = 30 * time.Second

// enrol makes sure that the machine is registered, using a key that waits. It gives
// the state to link with.
func (a *Agent) enrol(ctx context.Context) (State, error) {
	a.tried = a.keyStamp()
	st, err := ReadState(a.o.StateFile)
	if err != nil {
		return st, err
	}
	key, err := a.findKey()
	if err != nil && !st.IsRegistered() {
		return st, err
	}
	switch {
	case key == "" && st.IsRegistered():
		return st, nil
	case key == "":
		return st, ErrNoKey
	case st.IsRegistered() && st.KeyDigest == digest(key):
		return st, a.eraseKey() // the last run ended between storing the answer and erasing
	}
	if len(st.Seed) == 0 { // on disk before it is shown, so that a lost answer can be asked for again
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return st, fmt.Errorf("make the machine's key: %w", err)
		}
		st.Seed = private.Seed()
		if err := st.write(a.o.StateFile); err != nil {
			return st, err
		}
	}
	fresh, err := a.register(ctx, st, key)
	if err != nil {
		return st, err
	}
	if err := fresh.write(a.o.StateFile); err != nil {
		return st, err
	}
	a.log.Info("machine registered", "host", fresh.ResourceID, "service", fresh.BrokerURIs)
	return fresh, a.eraseKey()
}

// register presents the key to each of the service's addresses until one answers.
func (a *Agent) register(ctx context.Context, st State, key string) (State, error) {
	claims, err := token.Read(key)
	if err != nil {
		return st, fmt.Errorf("read the registration key: %w", err)
	}
	if expires := time.Unix(claims.Expires, 0); !a.now().Before(expires) {
		// The service decides, for this machine's clock may be wrong.
		a.log.Warn("registration key expired by this machine's clock", "expires", expires.UTC(), "clock", a.now().UTC())
	}
	machine, err := a.o.Machine(ctx)
	if err != nil {
		return st, fmt.Errorf("describe this machine: %w", err)
	}
	about, err := json.Marshal(machine)
	if err != nil {
		return st, fmt.Errorf("describe this machine: %w", err)
	}
	private := st.key()
	body, err := json.Marshal(reverse.Register{
		Token: key, Machine: about, PublicKey: private.Public().(ed25519.PublicKey),
		Proof: ed25519.Sign(private, reverse.RegisterProof(key, about)),
	})
	if err != nil {
		return st, fmt.Errorf("encode the registration: %w", err)
	}
	var tried []error
	for _, base := range claims.BrokerURIs {
		answer, err := postRegistration(ctx, base, claims.CAPin, body)
		var refused *arm.Error
		if err == nil {
			return State{Registered: answer, CAPin: claims.CAPin, Seed: st.Seed, KeyDigest: digest(key)}, nil
		}
		if errors.As(err, &refused) && refused.Kind != arm.Unavailable {
			return st, err // the service has spoken; its other addresses say the same
		}
		tried = append(tried, err)
	}
	return st, errors.Join(tried...)
}

func postRegistration(ctx context.Context, base, pin string, body []byte) (reverse.Registered, error) {
	var answer reverse.Registered
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	url := strings.TrimSuffix(base, "/") + reverse.RegisterPath
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return answer, fmt.Errorf("register at %s: %w", base, err)
	}
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: reverse.Pinned(pin), DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return answer, fmt.Errorf("register at %s: %w", base, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, reverse.MaxFromService))
	if err != nil {
		return answer, fmt.Errorf("register at %s: %w", base, err)
	}
	if resp.StatusCode != http.StatusOK {
		return answer, fmt.Errorf("register at %s: %w", base, refusal(resp.StatusCode, b))
	}
	if err := json.Unmarshal(b, &answer); err != nil || answer.HostID == "" || len(answer.BrokerURIs) == 0 {
		return answer, fmt.Errorf("register at %s: the answer is not a registration (%d bytes)", base, len(b))
	}
	return answer, nil
}

// refusal is the service's error as it was told.
func refusal(status int, body []byte) error {
	var e struct {
		Error *arm.Error `json:"error"`
	}
	if err := json.Unmarshal(body, &e); err != nil || e.Error == nil || e.Error.Code == "" {
		e.Error = arm.Errorf(arm.Unavailable, "UnexpectedAnswer", "the server answered HTTP %d", status)
	}
	e.Error.Kind = arm.Forbidden
	switch {
	case status >= 500 || status == http.StatusTooManyRequests:
		e.Error.Kind = arm.Unavailable
	case status == http.StatusConflict:
		e.Error.Kind = arm.Conflicting
	}
	return e.Error
}
