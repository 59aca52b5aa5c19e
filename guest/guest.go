package guest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reverse"
)

// Options of a Guest. All but TenantFile, Metadata, Log and Now are required.
type Options struct {
	StateFile   string // the guest's state
	JournalFile string
	Invitation  string // where cloud-init leaves it
	TenantFile  string // says that the machine joined the service's directory; may be empty
	Version     string // of the boot loader

	Machine  func(ctx context.Context) (deskyard.Machine, error) // says which machine this is
	Steps    map[string]Handler                                  // by kind
	Metadata *Metadata                                           // answers instance metadata; nil: nobody does

	Log *slog.Logger
	Now func() time.Time
}

// Handler runs the steps of one kind.
type Handler struct {
	Run func(ctx context.Context, s deskyard.Step) Outcome
	// Again says that the step may be run anew after the machine went down under it.
	Again bool
}

// Outcome is what a handler says of a step; an empty Code is success.
type Outcome struct {
	ExitCode int
	Output   string
	Code     string
	Message  string
}

// Failed makes the outcome of a step that failed.
func Failed(code, format string, args ...any) Outcome {
	return Outcome{ExitCode: 1, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Guest is the guest's side of the link.
type Guest struct {
	o       Options
	log     *slog.Logger
	now     func() time.Time
	journal *journal

	mu      sync.Mutex // guards running and link
	running map[string]bool
	link    *link // while there is one
	queue   chan deskyard.Step
	results chan deskyard.StepResult
}

// New makes a Guest. ErrNoInvitation when the service did not make this machine.
func New(o Options) (*Guest, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	st, err := ReadState(o.StateFile)
	if err != nil {
		return nil, err
	}
	if !st.Enrolled && len(st.Seed) == 0 {
		if _, err := o.findInvitation(); err != nil {
			return nil, err
		}
	}
	j, err := openJournal(o.JournalFile)
	if err != nil {
		return nil, err
	}
	return &Guest{
		o: o, log: o.Log, now: o.Now, journal: j, running: map[string]bool{},
		queue: make(chan deskyard.Step, 64), results: make(chan deskyard.StepResult, 64),
	}, nil
}

// Waits between attempts to reach the service.
const (
	firstWait = 500 * time.Millisecond
	lastWait  = 30 * time.Second
	// bootFor is how long a machine that starts may take until it has a network; who
	// asks again at once meanwhile loads nobody.
	bootFor = time.Minute
)

// Run enrols, if need be, and keeps the link until ctx ends.
func (g *Guest) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { g.work(ctx) })
	wait, started := firstWait, g.now()
	for ctx.Err() == nil {
		began := g.now()
		err := g.once(ctx)
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, errNotWanted) {
			g.log.Error("the service does not know this machine; the guest stays without a link", "err", err)
			<-ctx.Done()
			break
		}
		g.log.Warn("guest link ended", "err", err)
		if g.now().Sub(began) > time.Minute || errors.Is(err, syscall.ENETUNREACH) && began.Sub(started) < bootFor {
			wait = firstWait
		}
		timer := time.NewTimer(wait + time.Duration(rand.Int64N(int64(wait)/2+1))) //nolint:gosec // spreads load
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		wait = min(2*wait, lastWait)
	}
	return nil
}

// errNotWanted ends the attempts: no later one can come out otherwise.
var errNotWanted = errors.New("the machine is not wanted")

// once is one life of the link: enrolment if need be, opening, polls. Its error is
// never nil.
func (g *Guest) once(ctx context.Context) error {
	st, err := ReadState(g.o.StateFile)
	if err != nil {
		return err
	}
	if !st.Enrolled || g.invitedAnew(st) {
		if st, err = g.enrol(ctx, st); err != nil {
			return err
		}
	}
	var tried []error
	for _, base := range st.BrokerURIs {
		c, err := newConnection(base, st)
		if err != nil {
			return err
		}
		session, err := g.open(ctx, c, st)
		if err == nil {
			g.setLink(&link{c, session})
			err = g.poll(ctx, c, session)
			g.setLink(nil)
			c.close()
			return err
		}
		c.close()
		if errors.Is(err, errNotWanted) {
			return err
		}
		tried = append(tried, err)
	}
	return fmt.Errorf("reach the service: %w", errors.Join(tried...))
}

// invitedAnew reports whether there is another invitation than the one that the state
// is from: the disk is of a captured machine, or the service made the machine again.
func (g *Guest) invitedAnew(st State) bool {
	i, err := g.o.findInvitation()
	return err == nil && !st.from(i)
}

// enrol accepts the invitation at the first address that answers.
func (g *Guest) enrol(ctx context.Context, st State) (State, error) {
	i, err := g.o.findInvitation()
	if err != nil {
		return st, err
	}
	if len(st.Seed) == 0 || !st.from(i) {
		if st, err = begin(g.o.StateFile, i); err != nil {
			return st, err
		}
	}
	about, err := g.describe(ctx)
	if err != nil {
		return st, err
	}
	private := st.key()
	ask := reverse.GuestEnroll{
		MachineID: st.MachineID, Token: i.Token, PublicKey: private.Public().(ed25519.PublicKey), Machine: about,
		Proof: ed25519.Sign(private, reverse.RegisterProof(i.Token, about)),
	}
	var tried []error
	for _, base := range i.URLs {
		c, err := newConnection(base, st)
		if err != nil {
			return st, err
		}
		var answer reverse.GuestEnrolled
		err = c.call(ctx, reverse.GuestEnrollPath, ask, &answer)
		c.close()
		if err == nil {
			st.GuestEnrolled, st.Enrolled = answer, true
			g.log.Info("guest enrolled", "machine", st.MachineID, "service", base)
			return st, errors.Join(writeJSON(g.o.StateFile, st), g.o.eraseInvitation())
		}
		tried = append(tried, err)
	}
	return st, fmt.Errorf("accept the invitation: %w", errors.Join(tried...))
}

func (g *Guest) describe(ctx context.Context) (json.RawMessage, error) {
	m, err := g.o.Machine(ctx)
	if err != nil {
		return nil, fmt.Errorf("describe this machine: %w", err)
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("describe this machine: %w", err)
	}
	return b, nil
}

// open proves the machine's key.
func (g *Guest) open(ctx context.Context, c *connection, st State) (string, error) {
	var challenge reverse.GuestChallenge
	if err := c.call(ctx, reverse.GuestHelloPath, reverse.GuestHello{MachineID: st.MachineID}, &challenge); err != nil {
		return "", err
	}
	about, err := g.describe(ctx)
	if err != nil {
		return "", err
	}
	var session reverse.GuestSession
	err = c.call(ctx, reverse.GuestOpenPath, reverse.GuestOpen{
		MachineID: st.MachineID, Nonce: challenge.Nonce, Machine: about, BootLoader: g.o.Version,
		Signature: ed25519.Sign(st.key(), reverse.GuestProof(st.MachineID, challenge.Nonce, about)),
	}, &session)
	if err != nil {
		return "", err
	}
	g.log.Info("guest link up", "service", c.base)
	return session.Session, nil
}

// poll takes work in until the link ends.
func (g *Guest) poll(ctx context.Context, c *connection, session string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { g.tell(ctx, cancel, c, session) })
	var seen int64
	for {
		var work reverse.GuestWork
		if err := c.call(ctx, reverse.GuestPollPath, reverse.GuestPoll{Session: session, Seen: seen}, &work); err != nil {
			cancel()
			return err
		}
		seen = max(seen, work.Number)
		if work.Metadata != nil && g.o.Metadata != nil {
			g.o.Metadata.Set(work.Metadata)
		}
		for _, raw := range work.Steps {
			if err := g.take(ctx, raw); err != nil {
				cancel()
				return err
			}
		}
	}
}

// take puts a step into the queue, unless it is there, under way or done.
func (g *Guest) take(ctx context.Context, raw json.RawMessage) error {
	var s deskyard.Step
	if err := json.Unmarshal(raw, &s); err != nil {
		return fmt.Errorf("read a step: %w", err)
	}
	if r, done := g.journal.find(s.ID); done && r.State != deskyard.StepRunning {
		return g.report(ctx, r)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running[s.ID] {
		return nil // its result will come
	}
	select {
	case g.queue <- s:
		g.running[s.ID] = true
		return nil
	default:
		return errors.New("the service has sent more steps than a machine may have before it")
	}
}

func (g *Guest) report(ctx context.Context, r deskyard.StepResult) error {
	select {
	case g.results <- r:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tell sends results over the link. One that cannot be sent ends the link: it is in
// the journal, and the service, which asks for a step once over one link, asks for it
// again over the next.
func (g *Guest) tell(ctx context.Context, end context.CancelFunc, c *connection, session string) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-g.results:
			b, err := json.Marshal(r)
			if err == nil {
				err = c.call(ctx, reverse.GuestResultPath, reverse.GuestResult{Session: session, Step: r.ID, Result: b}, nil)
			}
			if err != nil && ctx.Err() == nil {
				g.log.Warn("result of a step not told; the service will ask again over the next link", "step", r.ID, "err", err)
				end()
				return
			}
		}
	}
}

// connection speaks to one address of the service.
type connection struct {
	base   string
	client *http.Client
}

// callTime bounds one exchange: more than the service holds a poll.
const callTime = 40 * time.Second

func newConnection(base string, st State) (*connection, error) {
	pin, err := st.pin()
	if err != nil {
		return nil, err
	}
	return &connection{strings.TrimSuffix(base, "/"), &http.Client{
		Timeout:       callTime,
		Transport:     &http.Transport{TLSClientConfig: reverse.Pinned(pin), Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (c *connection) close() { c.client.CloseIdleConnections() }

// call posts a body and decodes the answer.
func (c *connection) call(ctx context.Context, path string, body, answer any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode a request to %s: %w", path, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("call %s: %w", c.base, err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(req)
	if err != nil {
		return fmt.Errorf("call %s%s: %w", c.base, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxFile))
	if err != nil {
		return fmt.Errorf("read the answer of %s%s: %w", c.base, path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("call %s%s: %w", c.base, path, refusal(resp.StatusCode, text))
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("decode the answer of %s%s: %w", c.base, path, err)
	}
	return nil
}

// refusal is the service's error; one that is for good is errNotWanted too.
func refusal(status int, body []byte) error {
	var doc struct {
		Error *arm.Error `json:"error"`
	}
	if err := json.Unmarshal(body, &doc); err != nil || doc.Error == nil {
		return fmt.Errorf("the server answered HTTP %d", status)
	}
	switch doc.Error.Code {
	case "GuestUnknown", "InvitationNotValid":
		return fmt.Errorf("%w: %w", errNotWanted, doc.Error)
	}
	return doc.Error
}
