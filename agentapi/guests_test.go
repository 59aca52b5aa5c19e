package agentapi

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	inside "github.com/deskyard/deskyard/guest"
	"github.com/deskyard/deskyard/reverse"
)

// made is a machine that the service made: its disk, and its boot loader's guest.
type made struct {
	t        testing.TB
	d        *door
	dir, id  string
	vm       arm.ResourceID
	facts    deskyard.Machine
	log      *lockedBuffer
	metadata *inside.Metadata
	runs     atomic.Int32
	run      func(ctx context.Context, s deskyard.Step) inside.Outcome
	again    bool
	guest    *inside.Guest
	halt     func()
}

func (d *door) made(name string) (*made, deskyard.Invitation) {
	d.t.Helper()
	id := uuid.NewString()
	m := &made{t: d.t, d: d, dir: d.t.TempDir(), id: id, facts: newGuest(name).machine, log: &lockedBuffer{}, metadata: &inside.Metadata{},
		vm: arm.MustParseID("/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/" + name)}
	m.facts.SMBIOSID = id
	m.run = func(context.Context, deskyard.Step) inside.Outcome { return inside.Outcome{Output: "done"} }
	return m, m.invite()
}

// invite has the service invite the machine and leaves the invitation on its disk.
func (m *made) invite() deskyard.Invitation {
	m.t.Helper()
	var i deskyard.Invitation
	err := m.d.db.Write(m.t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
		var err error
		i, err = m.d.Guests().Invite(ctx, tx, m.vm, m.id, time.Hour)
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	b, err := json.Marshal(i)
	if err == nil {
		err = os.WriteFile(filepath.Join(m.dir, "invitation"), b, 0o600)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return i
}

func (m *made) boot() {
	m.t.Helper()
	g, err := inside.New(inside.Options{
		StateFile: filepath.Join(m.dir, "state"), JournalFile: filepath.Join(m.dir, "journal"), Invitation: filepath.Join(m.dir, "invitation"), Version: "1.0.0",
		TenantFile: filepath.Join(m.dir, "tenant"),
		Machine:    func(context.Context) (deskyard.Machine, error) { return m.facts, nil }, Metadata: m.metadata,
		Steps: map[string]inside.Handler{deskyard.StepScript: {Again: m.again, Run: func(ctx context.Context, s deskyard.Step) inside.Outcome {
			m.runs.Add(1)
			return m.run(ctx, s)
		}}},
		Log: slog.New(slog.NewTextHandler(io.MultiWriter(m.log, logTo{m.t}), nil)),
	})
	if err != nil {
		m.t.Fatal(err)
	}
	m.guest = g
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = g.Run(ctx) })
	m.halt = func() { cancel(); wg.Wait() }
	m.t.Cleanup(m.halt)
}

func (m *made) linked() {
	m.t.Helper()
	eventually(m.t, "the link", func() bool { return m.d.Guests().Connected(strings.ToUpper(m.id)) })
}

func (m *made) do(id string) (deskyard.StepResult, error) {
	ctx, cancel := context.WithTimeout(m.t.Context(), 10*time.Second)
	defer cancel()
	return m.d.Guests().Do(ctx, m.id, deskyard.Step{ID: id, Kind: deskyard.StepScript, Secrets: json.RawMessage(`{"p":"hush-hush"}`)})
}

// raw posts a guest's message and gives the refusal's code.
func (d *door) raw(path string, body, answer any) string {
	d.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		d.t.Error(err)
		return "not encoded"
	}
	c := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: d.roots, ServerName: reverse.ServerName}, DisableKeepAlives: true,
	}}
	resp, err := c.Post(d.http.URL+path, "application/json", bytes.NewReader(b))
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	var e struct {
		Error arm.Error `json:"error"`
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return err.Error()
	}
	if answer != nil {
		if err := json.Unmarshal(text, answer); err != nil {
			return err.Error()
		}
	}
	return e.Error.Code
}

func enrolment(i deskyard.Invitation, smbios string, key ed25519.PrivateKey) reverse.GuestEnroll {
	about, _ := json.Marshal(deskyard.Machine{Hostname: "x", MachineID: uuid.NewString(), SMBIOSID: smbios, BootID: uuid.NewString(), OS: "linux", Arch: "amd64"})
	return reverse.GuestEnroll{MachineID: i.MachineID, Token: i.Token, PublicKey: key.Public().(ed25519.PublicKey), Machine: about,
		Proof: ed25519.Sign(key, reverse.RegisterProof(i.Token, about))}
}

func newKey() ed25519.PrivateKey {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	return key
}

func TestAnInvitationIsForOneMachineAndOneKeyInTime(t *testing.T) {
	d := openDoor(t)
	m, i := d.made("vm-1")
	key := newKey()
	if code := d.raw(reverse.GuestEnrollPath, enrolment(i, uuid.NewString(), key), nil); code != "InvitationNotValid" {
		t.Errorf("another machine: %q", code)
	}
	forged := enrolment(i, m.id, key)
	forged.Proof[0] ^= 1
	if code := d.raw(reverse.GuestEnrollPath, forged, nil); code != "INVALID_FORM" {
		t.Errorf("forged proof: %q", code)
	}
	for range 2 { // the second as after a lost answer
		if code := d.raw(reverse.GuestEnrollPath, enrolment(i, m.id, key), nil); code != "" {
			t.Errorf("the machine itself: %q", code)
		}
	}
	if code := d.raw(reverse.GuestEnrollPath, enrolment(i, m.id, newKey()), nil); code != "InvitationNotValid" {
		t.Errorf("another key: %q", code)
	}
	late, j := d.made("vm-2")
	d.clock.advance(2 * time.Hour)
	if code := d.raw(reverse.GuestEnrollPath, enrolment(j, late.id, key), nil); code != "InvitationNotValid" {
		t.Errorf("too late: %q", code)
	}
}

func TestAChallengeIsSignedByTheMachinesKeyOnce(t *testing.T) {
	d := openDoor(t)
	m, i := d.made("vm-1")
	key := newKey()
	e := enrolment(i, m.id, key)
	if code := d.raw(reverse.GuestEnrollPath, e, nil); code != "" {
		t.Fatal(code)
	}
	open := func(signer ed25519.PrivateKey) reverse.GuestOpen {
		var c reverse.GuestChallenge
		if code := d.raw(reverse.GuestHelloPath, reverse.GuestHello{MachineID: m.id}, &c); code != "" {
			t.Fatal(code)
		}
		return reverse.GuestOpen{MachineID: m.id, Nonce: c.Nonce, Machine: e.Machine, Signature: ed25519.Sign(signer, reverse.GuestProof(m.id, c.Nonce, e.Machine))}
	}
	if code := d.raw(reverse.GuestOpenPath, open(newKey()), nil); code != "GuestUnknown" {
		t.Errorf("another key: %q", code)
	}
	o := open(key)
	var first, second reverse.GuestSession
	if code := d.raw(reverse.GuestOpenPath, o, &first); code != "" || !d.Guests().Connected(m.id) {
		t.Fatalf("the machine's key: %q", code)
	}
	if code := d.raw(reverse.GuestOpenPath, o, nil); code != "ChallengeNotValid" {
		t.Errorf("the same challenge again: %q", code)
	}
	if code := d.raw(reverse.GuestOpenPath, open(key), &second); code != "" {
		t.Fatal(code)
	}
	if code := d.raw(reverse.GuestPollPath, reverse.GuestPoll{Session: first.Session}, nil); code != "SessionEnded" {
		t.Errorf("the older link: %q", code)
	}
	if !d.Guests().Connected(m.id) {
		t.Error("the newer link ended with the older")
	}
	held := make(chan string, 1)
	go func() { held <- d.raw(reverse.GuestPollPath, reverse.GuestPoll{Session: second.Session}, nil) }()
	eventually(t, "the poll", func() bool {
		d.guests.mu.Lock()
		defer d.guests.mu.Unlock()
		g := d.guests.byID[m.id]
		return g != nil && g.polls == 1
	})
	d.HangUp()
	select {
	case code := <-held:
		if code != "SessionEnded" {
			t.Errorf("hung up with %q", code)
		}
	case <-time.After(5 * time.Second):
		t.Error("the poll is held still")
	}
}

func TestAStepRunsOnceWhateverIsLost(t *testing.T) {
	d := openDoor(t)
	m, _ := d.made("vm-1")
	var told atomic.Int32
	d.OnGuest(func(vm arm.ResourceID) {
		if vm.Equal(m.vm) {
			told.Add(1)
		}
	})
	d.Guests().Describe(m.id, json.RawMessage(`{"compute":{}}`))
	m.run = func(context.Context, deskyard.Step) inside.Outcome {
		return inside.Outcome{Output: strings.Repeat("é", 1<<20), Message: strings.Repeat("m", 1<<20)}
	}
	m.boot()
	m.linked()
	if _, err := os.Stat(filepath.Join(m.dir, "invitation")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the invitation is left: %v", err)
	}
	want := func(when string) {
		t.Helper()
		m.linked()
		r, err := m.do("one")
		if err != nil || r.State != deskyard.StepSucceeded || m.runs.Load() != 1 || len(r.Output) > 5<<10 || len(r.Message) > 5<<10 {
			t.Errorf("%s: %s %v, %d runs, %d bytes of output", when, r.State, err, m.runs.Load(), len(r.Output))
		}
	}
	want("at first")
	want("asked again")
	d.HangUp()
	if told.Load() < 2 {
		t.Errorf("told %d times of a link up and down", told.Load())
	}
	want("after the link's loss")
	m.halt()
	eventually(t, "the end of the link", func() bool { return !d.Guests().Connected(m.id) })
	if _, err := m.do("one"); !errors.Is(err, deskyard.ErrGuestUnreachable) {
		t.Errorf("without a link: %v", err)
	}
	m.boot()
	want("after the guest's restart")
	journal, err := os.ReadFile(filepath.Join(m.dir, "journal"))
	if err != nil || strings.Contains(string(journal)+m.log.String(), "hush-hush") {
		t.Errorf("the secret is in the journal or the log: %v", err)
	}
	d.Guests().Forget(m.id, "test")
	eventually(t, "the refusal", func() bool { return strings.Contains(m.log.String(), "GuestUnknown") })
	if d.Guests().Connected(m.id) {
		t.Error("linked after it was forgotten")
	}
}

func TestAStepThatTheMachineWentDownUnderIsRunAgainOnlyWhereItMay(t *testing.T) {
	for _, again := range []bool{true, false} {
		d := openDoor(t)
		m, _ := d.made("vm-1")
		m.again = again
		m.run = func(ctx context.Context, _ deskyard.Step) inside.Outcome {
			if m.runs.Load() == 1 {
				<-ctx.Done()
				return inside.Failed("Cut", "cut off")
			}
			return inside.Outcome{}
		}
		m.boot()
		m.linked()
		lost := make(chan error, 1)
		go func() { _, err := m.do("one"); lost <- err }()
		eventually(t, "the step", func() bool { return m.runs.Load() == 1 })
		m.halt()
		if err := <-lost; !errors.Is(err, deskyard.ErrGuestUnreachable) {
			t.Errorf("the link's end: %v", err)
		}
		m.boot()
		m.linked()
		r, err := m.do("one")
		if want := map[bool]string{true: "", false: "StepInterrupted"}[again]; err != nil || r.Code != want {
			t.Errorf("again %v: %+v, %v", again, r, err)
		}
	}
}

func TestAMachineThatIsMadeAgainTakesItsNewInvitation(t *testing.T) {
	d := openDoor(t)
	m, _ := d.made("vm-1")
	m.boot()
	m.linked()
	m.halt()
	d.Guests().Forget(m.id, "made again")
	m.invite()
	m.boot()
	m.linked()
	if r, err := m.do("one"); err != nil || r.State != deskyard.StepSucceeded {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestGuestsLinkAnewWhenTheServiceStartsAnew ends the service under a step and starts
// another on the same store: what the guest did meanwhile is told once.
func TestGuestsLinkAnewWhenTheServiceStartsAnew(t *testing.T) {
	d := openDoor(t)
	m, _ := d.made("vm-1")
	release := make(chan struct{})
	m.run = func(ctx context.Context, _ deskyard.Step) inside.Outcome {
		select {
		case <-release:
		case <-ctx.Done():
			return inside.Failed("Cut", "cut off")
		}
		return inside.Outcome{Output: "done"}
	}
	m.boot()
	m.linked()
	lost := make(chan error, 1)
	go func() { _, err := m.do("one"); lost <- err }()
	eventually(t, "the step", func() bool { return m.runs.Load() == 1 })
	d.restart()
	if err := <-lost; !errors.Is(err, deskyard.ErrGuestUnreachable) {
		t.Errorf("the service's end: %v", err)
	}
	close(release) // the step ends in the guest, with nobody to tell
	m.linked()
	r, err := m.do("one")
	if err != nil || r.State != deskyard.StepSucceeded || r.Output != "done" || m.runs.Load() != 1 {
		t.Errorf("asked anew: %+v, %v, %d runs", r, err, m.runs.Load())
	}
}

func TestWhatTheServiceSaysOfAMachineReachesItsGuest(t *testing.T) {
	d := openDoor(t)
	m, _ := d.made("vm-1")
	name := func() string {
		r := httptest.NewRequest(http.MethodGet, "/metadata/instance/compute/name?api-version=2021-02-01&format=text", nil)
		r.Header.Set("Metadata", "true")
		w := httptest.NewRecorder()
		m.metadata.ServeHTTP(w, r)
		return strings.TrimSpace(w.Body.String())
	}
	d.Guests().Describe(m.id, json.RawMessage(`{"compute":{"name":"before"}}`)) // it has no link yet
	m.boot()
	m.linked()
	eventually(t, "what was said before the link", func() bool { return name() == "before" })
	d.Guests().Describe(strings.ToUpper(m.id), json.RawMessage(`{"compute":{"name":"after"}}`))
	eventually(t, "what was said over the link", func() bool { return name() == "after" })
	d.restart()
	m.linked()
	if got := name(); got != "after" {
		t.Errorf("the service's restart made it %q", got)
	}
	d.Guests().Describe(m.id, json.RawMessage(`{"compute":{"name":"anew"}}`))
	eventually(t, "what the next service says", func() bool { return name() == "anew" })
}
