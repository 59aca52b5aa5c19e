package bootloader

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// stage brings a version to the disk, beside the running one.
func (u *unit) stage(ctx context.Context, stages *sync.WaitGroup, d Desired) {
	u.fetching = d.Version
	u.log.Info("version wanted", "version", d.Version, "current", u.current)
	stages.Go(func() {
		err := u.bring(ctx, d)
		select {
		case u.staged <- stageResult{d.Version, err}:
		case <-ctx.Done():
		}
	})
}

// stageLimit ends a download that trickles; what it has is resumed.
const stageLimit = 30 * time.Minute

func (u *unit) bring(ctx context.Context, d Desired) error {
	ctx, cancel := context.WithTimeout(ctx, stageLimit)
	defer cancel()
	installed, err := u.disk.versions()
	if err != nil {
		return err
	}
	if slices.Contains(installed, d.Version) {
		if err = u.disk.intact(d.Version); err == nil {
			return nil
		}
		u.log.Warn("installed version damaged, fetched anew", "version", d.Version, "error", err)
	}
	if d.Manifest == "" {
		return rejected{errors.Join(fmt.Errorf("%s %s is not installed, and nothing says where to fetch it", u.name, d.Version), err)}
	}
	release, location, err := u.s.download.release(ctx, d)
	if err != nil {
		return err
	}
	if u.takeSpare(release.Manifest) {
		return nil
	}
	archive, err := u.s.download.archive(ctx, release, location)
	if err != nil {
		return err
	}
	err = u.disk.install(archive, release.Manifest)
	if err != nil {
		err = rejected{err} // the right bytes, and yet they do not unpack: again would not help
	}
	return errors.Join(err, archive.Close(), os.Remove(archive.Name()))
}

func (u *unit) stageDone(r stageResult) {
	u.fetching = ""
	now := u.s.o.Now()
	if r.err == nil {
		u.stageWait, u.stageAt, u.problem = 0, time.Time{}, ""
		rec := u.s.ledger.get(u.name)
		if rec.Desired.Version != r.version {
			return // wanted no more
		}
		if u.mustWait() {
			u.stageAt, u.problem = now.Add(time.Second), fmt.Sprintf("version %s is here and waits for other components", r.version)
			return
		}
		if err := u.try(r.version, u.current, rec.attempts(r.version)+1); err != nil {
			u.refuse(err)
		}
		return
	}
	u.problem = fmt.Sprintf("version %s is not here yet: %v", r.version, r.err)
	u.log.Warn("version not brought", "version", r.version, "error", r.err)
	if bad := (rejected{}); errors.As(r.err, &bad) {
		u.problem = ""
		u.keep(func(rec *record) { rec.fail(r.version, r.err.Error(), rec.attempts(r.version)+1, now) })
		return
	}
	u.refuse(r.err)
}

// mustWait keeps trials and the replacement of this program apart.
func (u *unit) mustWait() bool {
	if !u.self {
		return u.s.replacing.Load()
	}
	u.s.replacing.Store(true)
	if u.s.settled(u) {
		return false
	}
	u.s.replacing.Store(false)
	return true
}

// refuse waits before the next attempt to bring a version.
func (u *unit) refuse(err error) {
	u.problem = err.Error()
	u.stageWait = min(max(2*u.stageWait, minStageWait), maxStageWait)
	u.stageAt = u.s.o.Now().Add(u.stageWait)
}
