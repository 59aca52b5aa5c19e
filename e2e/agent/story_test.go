//go:build e2e

package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/guest"
	"github.com/deskyard/deskyard/e2e/join"
	"github.com/deskyard/deskyard/e2e/service"
)

// story is one run: a service, a pool with a key, and a machine that joins it. Its
// chapters are in the order that they happen in.
type story struct {
	t       *testing.T // the chapter's
	whole   *testing.T // the story's
	ctx     context.Context
	repo    string
	dir     string
	image   guest.Image
	accel   guest.Accelerator
	service *service.Service
	client  *service.Client
	pool    service.Pool
	key     string
	debs    join.Packages
	machine *guest.Machine

	passed, failed, skipped int
	broken                  string // the chapter whose failure makes the rest meaningless
}

const (
	hostName = "sh-0"
	group    = "e2e-agent"

	// leaseFor is what the issue demands: a host that went silent is Unavailable
	// within 15 seconds. watchSlack is for reading it.
	leaseFor   = 15 * time.Second
	watchSlack = 1 * time.Second

	bootFor    = 4 * time.Minute // until SSH answers, under emulation on a busy machine
	joinFor    = 3 * time.Minute // from the key to Available, likewise
	chapterFor = 8 * time.Minute
)

func TestHostJoinsWithTheKeyAloneAndItsStatusStaysTrue(t *testing.T) {
	s := &story{t: t, whole: t, ctx: t.Context(), repo: repository(t)}
	t.Cleanup(func() {
		fmt.Printf("e2e-agent: %d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
	})
	s.prepare()
	for _, c := range []struct {
		name  string
		vital bool // without it the rest means nothing
		tell  func(context.Context) error
	}{
		{"the machine boots and knows nothing", true, s.boots},
		{"joins: absent, Unavailable, Available", true, s.joins},
		{"four components are installed with their versions", false, s.listsComponents},
		{"the key is gone from the machine", false, s.keyIsGone},
		{"killed agent and boot loader: Unavailable within 15 s, Available when restarted", true, s.survivesKill},
		{"reboot: Shutdown, then Available without the key", true, s.survivesReboot},
		{"frozen machine: Unavailable within 15 s, Available when it thaws", true, s.survivesFreeze},
		{"power cut: Unavailable, then Available", true, s.survivesPowerCut},
		{"restarted service: Available again", true, s.survivesServiceRestart},
		{"drain mode is kept", false, s.drains},
		{"a user's session is listed, sent a message and logged off", false, s.showsSessions},
		{"a desktop over RDP is disconnected, lives on, is found again and logged off", false, s.showsDesktops},
		{"Microsoft's SDK runs its session-host operations on the host", false, s.obeysMicrosoftsClient},
		{"a clone of the disk is refused with the reason", false, s.refusesClone},
		{"a forged key and a deleted pool's key are refused", false, s.refusesKeys},
		{"a deleted host stays away until it gets a key", false, s.deletesHost},
	} {
		s.chapter(c.name, c.vital, c.tell)
	}
}

// repository is the checkout's root, two folders up.
func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// override is an environment variable's value, or path where it is not set.
func override(variable, path string) string {
	if v := os.Getenv(variable); v != "" {
		return v
	}
	return path
}

// prepare builds what the story needs and starts the service.
func (s *story) prepare() {
	t := s.t
	var err error
	if s.dir, err = os.MkdirTemp("", "deskyard-e2e-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.failed == 0 {
			os.RemoveAll(s.dir)
			return
		}
		t.Logf("the run's files are left in %s", s.dir)
	})
	if s.debs, err = join.FindPackages(override("DESKYARD_PACKAGES", filepath.Join(s.repo, "dist", "packages"))); err != nil {
		t.Fatal(err)
	}
	if s.image, err = guest.BuildImage(s.ctx, s.repo); err != nil {
		t.Fatal(err)
	}
	s.accel = guest.ProbeAccelerator(s.ctx, s.image)
	t.Logf("machines run by %s", s.accel.Reason)
	if s.service, err = service.Start(s.ctx, service.Options{Binary: override("DESKYARD_BINARY", filepath.Join(s.repo, "bin", "deskyard")), Dir: s.dir}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.service.Stop(); err != nil {
			t.Error(err)
		}
	})
	if s.client, err = service.NewClient(s.service.Bootstrap); err != nil {
		t.Fatal(err)
	}
	s.pool = s.client.Pool(group, "hp1")
	if err := s.client.CreateGroup(s.ctx, group); err != nil {
		t.Fatal(err)
	}
	if err := s.pool.Create(s.ctx); err != nil {
		t.Fatal(err)
	}
	if s.key, err = s.pool.Key(s.ctx); err != nil {
		t.Fatal(err)
	}
}

// chapter runs one part of the story under a deadline; on failure it shows what the
// machine and the service said last.
func (s *story) chapter(name string, vital bool, tell func(context.Context) error) {
	s.t.Run(name, func(t *testing.T) {
		if s.broken != "" {
			s.skipped++
			t.Skipf("after %q failed", s.broken)
		}
		ctx, cancel := context.WithTimeout(s.ctx, chapterFor)
		defer cancel()
		s.t = t
		defer func() { s.t = s.whole }()
		if err := tell(ctx); err != nil {
			s.failed++
			if vital {
				s.broken = name
			}
			t.Errorf("%v\n%s", err, s.lastWords())
			return
		}
		s.passed++
	})
}

// lastWords are the ends of all logs.
func (s *story) lastWords() string {
	words := "--- service log\n" + s.service.Log(25)
	if s.machine == nil {
		return words
	}
	ctx, cancel := context.WithTimeout(s.ctx, 30*time.Second)
	defer cancel()
	journal, err := s.machine.Shell().Run(ctx, "journalctl --no-pager -n 40 -u 'deskyard*'")
	if err != nil {
		journal = err.Error()
	}
	return words + "\n--- machine's journal\n" + journal + "\n--- machine's console\n" + s.machine.SerialLog()
}

// watch follows the host to a status, within a time, and logs the way there.
func (s *story) watch(ctx context.Context, want string, within time.Duration) ([]service.Sighting, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	way, err := s.pool.Watch(ctx, hostName, want, nil)
	if err == nil {
		s.t.Log(service.Way(way))
	}
	return way, err
}

// has reports whether a status was seen on the way.
func has(way []service.Sighting, status string) bool {
	for _, w := range way {
		if w.Status == status {
			return true
		}
	}
	return false
}
