package agentapi

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// Times of guests' links.
const (
	guestHold   = 20 * time.Second // a poll without work is answered after this
	guestGrace  = 10 * time.Second // between two polls
	nonceLife   = time.Minute
	maxNonces   = 4096
	guestAction = "Microsoft.Compute/virtualMachines/guest"
)

// guests are the machines that the service made and whose boot loader has a link,
// and the work for them. Links are in memory only: a guest opens a new one after the
// service's restart, and whoever waits for a step asks again.
type guests struct {
	mu       sync.Mutex // guards what follows
	nonces   map[string]nonce
	sessions map[string]*guestSession // by secret
	byID     map[string]*guestSession // by machine id, lower case
	about    map[string]json.RawMessage
	changed  func(vm arm.ResourceID) // told when a link begins or ends; may be nil
}

type nonce struct {
	machine string
	until   time.Time
}

// guestSession is one open link.
type guestSession struct {
	secret  string
	machine string
	vm      arm.ResourceID
	facts   deskyard.Machine

	polls   int // under way
	seen    time.Time
	number  int64 // of the newest work
	told    int64 // number that the guest has taken in
	steps   map[string]*guestStep
	order   []string
	news    chan struct{} // closed and replaced when there is work
	ended   chan struct{}
	timer   *time.Timer // ends the link between polls
	meta    json.RawMessage
	metaNew bool
}

// guestStep is a step that somebody waits for.
type guestStep struct {
	number  int64
	body    json.RawMessage
	waiting []chan deskyard.StepResult
}

func newGuests() *guests {
	return &guests{nonces: map[string]nonce{}, sessions: map[string]*guestSession{}, byID: map[string]*guestSession{}, about: map[string]json.RawMessage{}}
}

// Guests is the live side of guests.
func (s *Server) Guests() deskyard.Guests { return (*guestDoor)(s) }

// OnGuest sets who is told when a guest's link begins or ends, by its machine's id.
// Call it before the service takes requests.
func (s *Server) OnGuest(f func(vm arm.ResourceID)) { s.guests.changed = f }

// guestDoor is the Server as deskyard.Guests.
type guestDoor Server

// Invite implements deskyard.Guests.
func (d *guestDoor) Invite(ctx context.Context, tx deskyard.Tx, vm arm.ResourceID, machineID string, life time.Duration) (deskyard.Invitation, error) {
	secret := make([]byte, 32)
	rand.Read(secret) //nolint:errcheck // never fails (crypto/rand, Go 1.24)
	token := base64.RawURLEncoding.EncodeToString(secret)
	hash := sha256.Sum256([]byte(token))
	g, err := tx.Guest(ctx, machineID)
	if err != nil && !arm.IsMissing(err) {
		return deskyard.Invitation{}, err
	}
	expires := d.now().Add(life)
	_, err = tx.PutGuest(ctx, deskyard.Guest{
		MachineID: strings.ToLower(machineID), VM: vm, TokenHash: hash[:], TokenExpires: expires, Version: g.Version,
	})
	if err != nil {
		return deskyard.Invitation{}, fmt.Errorf("invite the guest of %s: %w", vm, err)
	}
	return deskyard.Invitation{
		MachineID: strings.ToLower(machineID), Token: token, URLs: d.o.BrokerURIs, CAPem: d.o.CAPem, Expires: expires,
	}, nil
}

// Connected implements deskyard.Guests.
func (d *guestDoor) Connected(machineID string) bool {
	d.guests.mu.Lock()
	defer d.guests.mu.Unlock()
	return d.guests.byID[strings.ToLower(machineID)] != nil
}

// Do implements deskyard.Guests.
func (d *guestDoor) Do(ctx context.Context, machineID string, step deskyard.Step) (deskyard.StepResult, error) {
	id := strings.ToLower(machineID)
	d.guests.mu.Lock()
	session := d.guests.byID[id]
	d.guests.mu.Unlock()
	if session == nil {
		return deskyard.StepResult{}, deskyard.ErrGuestUnreachable
	}
	if err := d.equip(ctx, session, &step); err != nil {
		return deskyard.StepResult{}, err
	}
	body, err := json.Marshal(step)
	if err != nil {
		return deskyard.StepResult{}, fmt.Errorf("encode step %s: %w", step.ID, err)
	}
	wait := make(chan deskyard.StepResult, 1)
	d.guests.mu.Lock()
	if d.guests.byID[id] != session {
		d.guests.mu.Unlock()
		return deskyard.StepResult{}, deskyard.ErrGuestUnreachable
	}
	session.add(step.ID, body, wait)
	d.guests.mu.Unlock()
	select {
	case r := <-wait:
		return r, nil
	case <-session.ended:
		return deskyard.StepResult{}, deskyard.ErrGuestUnreachable
	case <-ctx.Done():
		return deskyard.StepResult{}, fmt.Errorf("wait for step %s of %s: %w", step.ID, session.vm.Name(), ctx.Err())
	}
}

// add puts a step before the guest, or joins those who wait for it; mu is held.
func (g *guestSession) add(id string, body json.RawMessage, wait chan deskyard.StepResult) {
	if have := g.steps[id]; have != nil {
		have.waiting = append(have.waiting, wait)
		return
	}
	g.number++
	g.steps[id] = &guestStep{number: g.number, body: body, waiting: []chan deskyard.StepResult{wait}}
	g.order = append(g.order, id)
	g.tell()
}

// tell ends the polls that wait for work; mu is held.
func (g *guestSession) tell() {
	close(g.news)
	g.news = make(chan struct{})
}

// equip adds what the service alone knows: which versions the machine is to run, as it
// decides for every session host, and which tenant it is of.
func (d *guestDoor) equip(ctx context.Context, g *guestSession, step *deskyard.Step) error {
	if step.Kind != deskyard.StepAgent && step.Kind != deskyard.StepDirectory {
		return nil
	}
	settings := map[string]any{}
	if len(step.Settings) > 0 {
		if err := json.Unmarshal(step.Settings, &settings); err != nil {
			return fmt.Errorf("read the settings of step %s: %w", step.ID, err)
		}
	}
	settings["tenantId"] = d.o.TenantID
	if step.Kind == deskyard.StepAgent && d.o.Components != nil {
		desired, err := d.o.Components.Desired(ctx, g.facts.OS, g.facts.Arch, false)
		if err != nil {
			return fmt.Errorf("look for the agent's packages: %w", err)
		}
		settings["components"] = desired
	}
	body, err := json.Marshal(settings)
	step.Settings = body
	return err
}

// Describe implements deskyard.Guests.
func (d *guestDoor) Describe(machineID string, metadata json.RawMessage) {
	id := strings.ToLower(machineID)
	d.guests.mu.Lock()
	defer d.guests.mu.Unlock()
	d.guests.about[id] = metadata
	if g := d.guests.byID[id]; g != nil {
		g.describe(metadata)
	}
}

// describe has the guest told of its metadata; mu is held.
func (g *guestSession) describe(metadata json.RawMessage) {
	if string(g.meta) == string(metadata) {
		return
	}
	g.meta, g.metaNew = metadata, true
	g.number++
	g.tell()
}

// Forget implements deskyard.Guests.
func (d *guestDoor) Forget(machineID, reason string) {
	id := strings.ToLower(machineID)
	d.guests.mu.Lock()
	g := d.guests.byID[id]
	delete(d.guests.about, id)
	d.guests.mu.Unlock()
	if g != nil {
		d.log.Info("guest forgotten", "machine", g.vm, "reason", reason)
		(*Server)(d).endGuest(g)
	}
	err := d.o.Store.Write(d.ctx, func(ctx context.Context, tx deskyard.Tx) error { return tx.DeleteGuest(ctx, id) })
	if err != nil {
		d.log.Error("guest not removed from the store; its key opens no link, for its machine is gone", "machine", id, "err", err)
	}
}

// endGuest ends a link.
func (s *Server) endGuest(g *guestSession) {
	s.guests.mu.Lock()
	if s.guests.sessions[g.secret] != g {
		s.guests.mu.Unlock()
		return
	}
	delete(s.guests.sessions, g.secret)
	if s.guests.byID[g.machine] == g {
		delete(s.guests.byID, g.machine)
	}
	g.timer.Stop()
	close(g.ended)
	g.tell()
	s.guests.mu.Unlock()
	s.log.Info("guest link down", "machine", g.vm)
	s.guestChanged(g.vm)
}

func (s *Server) guestChanged(vm arm.ResourceID) {
	if s.guests.changed != nil {
		s.guests.changed(vm)
	}
}

// HangUp ends the links of guests, whose polls would hold the HTTP server up when it
// drains. Close does it too.
func (s *Server) HangUp() {
	s.guests.mu.Lock()
	all := make([]*guestSession, 0, len(s.guests.sessions))
	for _, g := range s.guests.sessions {
		all = append(all, g)
	}
	s.guests.mu.Unlock()
	for _, g := range all {
		s.endGuest(g)
	}
}

func randomHex() string {
	b := make([]byte, 32)
	rand.Read(b) //nolint:errcheck // never fails (crypto/rand, Go 1.24)
	return hex.EncodeToString(b)
}
