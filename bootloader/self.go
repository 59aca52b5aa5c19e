package bootloader

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"
)

// SelfTest is the argument that a new boot loader is started with before it takes
// over: it must exit with 0 within selfTestLimit, touching nothing.
const SelfTest = "selftest"

const selfTestLimit = 30 * time.Second

// trySelf puts another version of this very program on trial. A program that cannot
// run at all is found out before anything changes.
func (u *unit) trySelf(version, previous string, attempt int) error {
	asked := false
	defer func() { u.s.replacing.Store(asked) }()
	m, err := u.disk.manifest(version)
	if err != nil {
		return err
	}
	entry := filepath.Join(u.disk.path(version), filepath.FromSlash(m.Entry))
	if err := selfTest(entry); err != nil {
		u.keep(func(r *record) { r.fail(version, err.Error(), attempt, u.s.o.Now()) })
		u.log.Error("new boot loader does not run", "version", version, "error", err)
		return nil
	}
	if previous == "" {
		previous = u.s.o.SelfVersion
	}
	// Attempt counts the starts of the new one: recoverSelf of each adds one.
	err = u.s.ledger.change(u.name, func(r *record) { r.Trial, r.Previous, r.Attempt = version, previous, max(0, attempt-1) })
	if err != nil {
		return err
	}
	if err := pointCurrent(u.disk.dir, version); err != nil {
		return err
	}
	u.log.Info("boot loader to be replaced", "version", version, "previous", previous)
	asked = true
	u.s.askReexec(&Reexec{Path: entry, Version: version})
	return nil
}

func selfTest(entry string) error {
	ctx, cancel := context.WithTimeout(context.Background(), selfTestLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, entry, SelfTest).CombinedOutput()
	if err != nil {
		return fmt.Errorf("test %s: %w: %.200s", entry, err, out)
	}
	return nil
}

// recoverSelf is this program finding itself, or another version of it, on trial.
func (u *unit) recoverSelf(r record) error {
	if r.Trial != u.s.o.SelfVersion {
		// The exec did not happen, or the new one gave up and came back to this one.
		u.keep(func(rec *record) {
			rec.fail(r.Trial, "could not be started in place of "+u.s.o.SelfVersion, r.Attempt+1, u.s.o.Now())
		})
		u.current = u.s.o.SelfVersion
		return pointCurrent(u.disk.dir, u.s.o.SelfVersion)
	}
	if r.Attempt >= u.s.o.MaxAttempts && r.Previous != r.Trial {
		back := disk{u.disk.dir}
		m, err := back.manifest(r.Previous)
		if err != nil {
			return errors.Join(fmt.Errorf("go back to boot loader %s: %w", r.Previous, err),
				u.s.ledger.change(u.name, func(rec *record) { rec.confirm(r.Trial) }))
		}
		if err := pointCurrent(u.disk.dir, r.Previous); err != nil {
			return err
		}
		u.keep(func(rec *record) {
			rec.fail(r.Trial, fmt.Sprintf("ended within %s at each of its starts", u.s.o.SelfSettle), r.Attempt, u.s.o.Now())
		})
		u.s.askReexec(&Reexec{Path: filepath.Join(back.path(r.Previous), filepath.FromSlash(m.Entry)), Version: r.Previous})
		return nil
	}
	u.deadline = u.s.o.Now().Add(u.s.o.SelfSettle)
	return u.s.ledger.change(u.name, func(rec *record) { rec.Attempt++ })
}
