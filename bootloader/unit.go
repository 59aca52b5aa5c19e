package bootloader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// unit runs one component. Its fields up to mu belong to the goroutine of run.
type unit struct {
	s    *Supervisor
	name string
	self bool // this program's own component: never started, replaced by exec
	disk disk
	log  *slog.Logger
	sink *lineLog

	wake   chan struct{} // something on disk or in the ledger changed
	ready  chan readyCall
	staged chan stageResult

	proc      *process
	announced bool // proc has announced itself ready
	adopted   bool // proc was taken over from before a re-exec
	current   string
	title     string
	deadline  time.Time // by when a version on trial must announce itself
	startAt   time.Time // not before: the delay after a crash
	backoff   time.Duration
	crashes   int    // in a row
	fetching  string // version that a goroutine is staging
	stageAt   time.Time
	stageWait time.Duration
	restarts  int
	problem   string // what hinders: the detail of the status

	mu   sync.Mutex // guards view, busy
	view Component
	busy bool // being fetched or on trial
}

type readyCall struct {
	version string
	answer  chan error
}

type stageResult struct {
	version string
	err     error
}

// Delays after a download that did not work: the service or the way to it is down.
const (
	minStageWait = 5 * time.Second
	maxStageWait = 5 * time.Minute
)

// run lives until ctx ends; then it stops the process, unless ctx ended for a re-exec.
func (u *unit) run(ctx context.Context) {
	var stages sync.WaitGroup
	defer stages.Wait()
	if err := u.recover(); err != nil {
		u.problem = err.Error()
		u.log.Error("component not recovered", "error", err)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next := u.advance(ctx, &stages)
		u.publish()
		timer.Reset(max(0, next.Sub(u.s.o.Now())))
		var exited chan struct{}
		if u.proc != nil {
			exited = u.proc.exited
		}
		select {
		case <-ctx.Done():
			u.end(ctx)
			return
		case <-u.wake:
		case <-timer.C:
		case call := <-u.ready:
			err := u.announce(call.version)
			u.publish() // before the component goes on and asks
			call.answer <- err
		case r := <-u.staged:
			u.stageDone(r)
		case <-exited:
			u.crashed()
		}
	}
}

func (u *unit) nudge() {
	select {
	case u.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func (u *unit) end(ctx context.Context) {
	if r := (*Reexec)(nil); errors.As(context.Cause(ctx), &r) || u.proc == nil {
		return
	}
	u.log.Info("component stopping", "version", u.proc.version)
	u.proc.stop(u.s.o.StopWithin)
	u.s.forget(u.name)
	u.proc = nil
	u.publish()
}

// recover makes of what is on disk a state to go on from, whatever an earlier boot
// loader was doing when it ended.
func (u *unit) recover() error {
	if err := u.disk.sweep(); err != nil {
		return err
	}
	var err error
	if u.current, err = u.disk.current(); err != nil {
		return err
	}
	if u.self {
		u.current = u.s.o.SelfVersion
	}
	if linked, err := readCurrent(u.disk.dir); u.current != "" && !u.self && (err != nil || linked != u.current) {
		if err := pointCurrent(u.disk.dir, u.current); err != nil {
			return err
		}
	}
	r := u.s.ledger.get(u.name)
	if r.Trial == "" {
		return nil
	}
	if u.adopted {
		u.deadline = u.s.o.Now().Add(u.s.o.ReadyWithin)
		return nil
	}
	if u.self {
		return u.recoverSelf(r)
	}
	// The trial was cut short. It is repeated, unless it has been cut short too often:
	// a version that takes the machine down with it must not do so for ever.
	if r.Attempt >= u.s.o.MaxAttempts {
		u.rollBack(r.Trial, "the machine or the boot loader went down during each of its trials")
		return nil
	}
	if versions, err := u.disk.versions(); err != nil || !slices.Contains(versions, r.Trial) {
		return errors.Join(err, u.s.ledger.change(u.name, func(r *record) { r.Trial, r.Attempt = "", 0 }))
	}
	return u.try(r.Trial, r.Previous, r.Attempt+1)
}

// advance does all that can be done now and says when to look again.
func (u *unit) advance(ctx context.Context, stages *sync.WaitGroup) (next time.Time) {
	now := u.s.o.Now()
	next = now.Add(time.Hour)
	sooner := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	r := u.s.ledger.get(u.name)
	if r.Trial != "" && !u.deadline.IsZero() && !now.Before(u.deadline) && (u.proc != nil || u.self) {
		u.trialOver(r)
		r = u.s.ledger.get(u.name)
	}
	if r.Trial == "" {
		u.deadline = time.Time{}
	}
	if at, want := u.due(r, now); want {
		if at.After(now) {
			sooner(at)
		} else {
			u.stage(ctx, stages, r.Desired)
		}
	}
	if !u.self {
		u.keepUp(now, r, sooner)
	}
	if u.deadline.After(now) {
		sooner(u.deadline)
	}
	return next
}

// keepUp starts the process when it is time, and notes when it has proven itself.
func (u *unit) keepUp(now time.Time, r record, sooner func(time.Time)) {
	if u.proc == nil && u.current != "" {
		if !now.Before(u.startAt) {
			u.start()
		}
		if u.proc == nil {
			sooner(u.startAt)
		}
	}
	if u.proc != nil && u.announced && (u.crashes > 0 || r.Proven != u.proc.version || r.Failed == u.proc.version) {
		if at := u.proc.started.Add(u.s.o.ProvenAfter); now.Before(at) {
			sooner(at)
		} else {
			u.prove()
		}
	}
}

// due says whether the desired version must be brought here, and from when.
func (u *unit) due(r record, now time.Time) (at time.Time, want bool) {
	d := r.Desired
	switch {
	case d.Version == "" || d.Version == u.current || d.Version == r.Trial || u.fetching != "":
		return at, false
	case r.Trial != "": // one at a time; its end looks again
		return at, false
	case r.attempts(d.Version) >= u.s.o.MaxAttempts:
		return at, false
	}
	at = u.stageAt
	if r.Failed == d.Version && !r.FailedAt.IsZero() {
		if u.s.o.RetryEvery <= 0 {
			return at, false
		}
		if retry := r.FailedAt.Add(u.s.o.RetryEvery); retry.After(at) {
			at = retry
		}
	}
	return at, true
}

// try puts a version on trial: from here on a power loss repeats the trial.
func (u *unit) try(version, previous string, attempt int) error {
	if u.self {
		return u.trySelf(version, previous, attempt)
	}
	err := u.s.ledger.change(u.name, func(r *record) { r.Trial, r.Previous, r.Attempt = version, previous, attempt })
	if err != nil {
		return err
	}
	if err := pointCurrent(u.disk.dir, version); err != nil {
		return err
	}
	u.log.Info("version on trial", "version", version, "previous", previous, "attempt", attempt)
	u.switchTo(version)
	return nil
}

// switchTo stops what runs and lets advance start version.
func (u *unit) switchTo(version string) {
	u.stopProcess()
	u.current = version
	u.startAt, u.backoff, u.crashes, u.deadline = time.Time{}, 0, 0, time.Time{}
}

func (u *unit) stopProcess() {
	if u.proc == nil {
		return
	}
	u.proc.stop(u.s.o.StopWithin)
	u.s.forget(u.name)
	u.proc, u.announced, u.adopted = nil, false, false
}

func (u *unit) start() {
	now := u.s.o.Now()
	m, err := u.disk.manifest(u.current)
	if err == nil {
		u.title = m.Title
		env := append(os.Environ(), SocketEnv+"="+u.s.o.Socket)
		u.proc, err = startProcess(u.disk.path(u.current), m, env, now, u.sink)
	}
	r := u.s.ledger.get(u.name)
	if err != nil {
		u.log.Error("component not started", "version", u.current, "error", err)
		u.problem = err.Error()
		u.after(r, err.Error())
		return
	}
	u.announced, u.adopted = false, false
	u.s.note(u.proc, false)
	if r.Trial == u.current {
		u.deadline = now.Add(u.s.o.ReadyWithin)
	}
	u.log.Info("component started", "version", u.current, "pid", u.proc.pid)
}

// announce is the running version saying that it works.
func (u *unit) announce(version string) error {
	if u.proc == nil || u.proc.version != version {
		return fmt.Errorf("component %s does not run version %.70q", u.name, version)
	}
	select {
	case <-u.proc.exited:
		return fmt.Errorf("component %s has ended", u.name)
	default:
	}
	r := u.s.ledger.get(u.name)
	if r.Trial == version || !r.good(version) {
		if err := u.s.ledger.change(u.name, func(r *record) { r.confirm(version) }); err != nil {
			return err
		}
		u.log.Info("version came up", "version", version, "after", u.s.o.Now().Sub(u.proc.started))
	}
	u.announced, u.deadline, u.problem = true, time.Time{}, ""
	u.s.note(u.proc, true)
	u.prune()
	return nil
}

// prune removes the versions beyond the kept ones.
func (u *unit) prune() {
	r := u.s.ledger.get(u.name)
	stay := []string{u.current, r.Previous, r.Trial}
	if u.fetching != "" {
		stay = append(stay, u.fetching)
	}
	if err := u.disk.prune(u.s.o.Keep, stay, r.good); err != nil {
		u.log.Error("old versions not removed", "error", err)
	}
}

func (u *unit) prove() {
	version := u.proc.version
	u.crashes, u.backoff = 0, 0
	u.keep(func(r *record) { r.prove(version) })
}

// keep edits the record. Where the disk refuses, the machine goes on with what it
// knows; the next change writes it all.
func (u *unit) keep(edit func(*record)) {
	if err := u.s.ledger.change(u.name, edit); err != nil {
		u.problem = err.Error()
		u.log.Error("state not kept", "error", err)
	}
}

// crashed handles the end of a process that nobody asked to end.
func (u *unit) crashed() {
	p := u.proc
	p.kill() // what it left in its group must not meet its successor
	p.close()
	u.s.forget(u.name)
	u.proc, u.announced, u.adopted = nil, false, false
	lived := u.s.o.Now().Sub(p.started)
	u.problem = fmt.Sprintf("version %s ended after %s: %s", p.version, lived.Round(time.Millisecond), p.how)
	u.log.Warn("component ended", "version", p.version, "after", lived, "how", p.how)
	if lived >= u.s.o.ProvenAfter {
		u.crashes, u.backoff = 0, 0
	}
	u.restarts++
	u.after(u.s.ledger.get(u.name), u.problem)
}

// after decides what follows a version that did not start or did not stay: back to
// the one before, or a restart after a delay.
func (u *unit) after(r record, why string) {
	u.crashes++
	onTrial := r.Trial == u.current
	loops := u.crashes >= u.s.o.CrashLimit && r.Proven != u.current
	if (onTrial || loops) && u.fallback(r, u.current) != "" {
		if loops && !onTrial {
			why = fmt.Sprintf("ended %d times in a row; last: %s", u.crashes, why)
		}
		u.rollBack(u.current, why)
		return
	}
	if onTrial { // nothing to go back to: it is all there is, and is started again and again
		u.keep(func(r *record) { r.fail(u.current, why, r.Attempt, u.s.o.Now()) })
	}
	u.backoff = min(max(2*u.backoff, u.s.o.MinBackoff), u.s.o.MaxBackoff)
	u.startAt = u.s.o.Now().Add(u.backoff)
}

// trialOver is a trial whose time is up without an announcement; for this program
// itself it means that it lived long enough.
func (u *unit) trialOver(r record) {
	u.deadline = time.Time{}
	if u.self {
		u.keep(func(rec *record) { rec.confirm(r.Trial); rec.prove(r.Trial) })
		u.log.Info("version came up", "version", r.Trial)
		u.prune()
		return
	}
	why := fmt.Sprintf("did not announce itself ready within %s", u.s.o.ReadyWithin)
	if u.fallback(r, r.Trial) == "" {
		u.keep(func(rec *record) { rec.fail(r.Trial, why, r.Attempt, u.s.o.Now()) })
		return
	}
	u.rollBack(r.Trial, why)
}

// fallback is the version to go back to: what ran before, else the newest good one,
// else the newest other one; "" when there is none.
func (u *unit) fallback(r record, from string) string {
	all, err := u.disk.versions()
	if err != nil {
		u.log.Error("kept versions unknown", "error", err)
		return ""
	}
	all = slices.DeleteFunc(all, func(v string) bool { return v == from || v == r.Failed })
	if slices.Contains(all, r.Previous) {
		return r.Previous
	}
	if i := slices.IndexFunc(all, r.good); i >= 0 {
		return all[i]
	}
	if len(all) > 0 {
		return all[0]
	}
	return ""
}

// rollBack goes back from a version. The link is flipped first: a power loss before
// the record is written repeats the trial, one attempt on.
func (u *unit) rollBack(from, why string) {
	r := u.s.ledger.get(u.name)
	to := u.fallback(r, from)
	if to == "" {
		to = u.current
	}
	attempt := max(r.Attempt, r.attempts(from)+1)
	if err := pointCurrent(u.disk.dir, to); err != nil {
		u.log.Error("version not rolled back on disk", "error", err)
	}
	u.keep(func(r *record) { r.fail(from, why, attempt, u.s.o.Now()) })
	u.log.Error("version rolled back", "version", from, "to", to, "why", why, "attempt", attempt)
	u.problem = ""
	u.switchTo(to)
}

// replacement is the re-exec to the installed current version of this program.
func (u *unit) replacement() (*Reexec, error) {
	version, err := u.disk.current()
	if err != nil {
		return nil, err
	}
	m, err := u.disk.manifest(version)
	if err != nil {
		return nil, fmt.Errorf("replace boot loader: %w", err)
	}
	return &Reexec{Path: filepath.Join(u.disk.path(version), filepath.FromSlash(m.Entry)), Version: version}, nil
}
