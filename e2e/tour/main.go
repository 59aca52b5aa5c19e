// Tour shows Deskyard at work, step by step with times: it builds the desktop image,
// starts the service with a host pool, has Microsoft's az log in and deploy Microsoft's
// own template to two session hosts, follows them to Available, removes one, gives a user
// the desktop of the other, says where and how to sign in, and leaves it all running.
// `make demo` builds and runs it from the root of the checkout.
//
// DEMO_EXIT=1 opens the desktop in headless Chromium and ends it; DEMO_JOIN=1 also joins a machine that the
// service has not made, with nothing but a key. Whatever it started ends with it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/deskyard/deskyard/e2e/guest"
	"github.com/deskyard/deskyard/e2e/service"
	"github.com/deskyard/deskyard/e2e/yard"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	t := &tour{start: time.Now(), shown: map[string]string{}}
	err := t.run(ctx)
	if err == nil && os.Getenv("DEMO_EXIT") == "" {
		t.say("Ctrl-C ends the service and its machines.")
		<-ctx.Done()
		fmt.Println()
	}
	failed := err != nil && ctx.Err() == nil
	if failed {
		t.lastWords()
	}
	t.end(failed)
	if failed {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// tour is one run of the demo.
type tour struct {
	start    time.Time
	repo     string
	dir      string
	packages string
	yard     *yard.Yard
	image    yard.Image
	ann      service.Person    // the desktop's user
	rdpw     string            // path of the desktop's connection file for AVD's own request
	stranger *guest.Machine    // of DEMO_JOIN
	shown    map[string]string // status shown last, by host
}

// say prints a step with the time since the start.
func (t *tour) say(format string, args ...any) {
	fmt.Printf("%6.1f s  %s\n", time.Since(t.start).Seconds(), fmt.Sprintf(format, args...))
}

func (t *tour) run(ctx context.Context) error {
	var err error
	if t.repo, err = os.Getwd(); err != nil {
		return err
	}
	if t.dir, err = os.MkdirTemp("", "deskyard-demo-"); err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	t.packages = override("DESKYARD_PACKAGES", filepath.Join(t.repo, "dist", "packages"))
	steps := []func(context.Context) error{t.build, t.open, t.addHosts, t.list, t.removeHost}
	if os.Getenv("DEMO_JOIN") != "" {
		steps = append(steps, t.join)
	}
	steps = append(steps, t.giveDesk)
	if os.Getenv("DEMO_EXIT") != "" {
		steps = append(steps, t.openDesk)
	}
	steps = append(steps, t.howToGoOn, t.howToSee)
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// build makes the image, which takes minutes the first time and seconds thereafter.
func (t *tour) build(ctx context.Context) error {
	t.say("Builds the image debian-12-desktop: Debian 12, xrdp, a light desktop, our boot loader (minutes once, then cached)")
	var err error
	if t.image, err = yard.BuildImage(ctx, t.binary(), t.packages, t.dir, os.Stdout); err != nil {
		return err
	}
	t.say("It is %s", t.image.URN())
	return nil
}

// open starts the service, which makes machines with this machine's QEMU.
func (t *tour) open(ctx context.Context) error {
	t.say("Starts the service: one binary, one TLS port, its own CA and database; az logs in; a group, a network and a host pool are made")
	var arguments []string
	if m, err := yard.FindMicrosoft(t.repo); err == nil {
		arguments = m.Mirror()
	}
	var err error
	if t.yard, err = yard.Open(ctx, yard.Options{Binary: t.binary(), Dir: t.dir, Arguments: arguments}); err != nil {
		return err
	}
	t.say("It answers at %s", t.yard.Service.Endpoint)
	return nil
}

func (t *tour) list(ctx context.Context) error {
	out, err := t.yard.CLI(ctx, nil, "sessionhost", "list", "-g", yard.Group, "--host-pool-name", yard.Pool, "-o", "table")
	if err != nil {
		return err
	}
	t.say("deskyard sessionhost list:\n\n%s", indent(out))
	return nil
}

// howToGoOn tells an administrator.
func (t *tour) howToGoOn(context.Context) error {
	b, s := t.yard.Service.Bootstrap, t.yard.Service
	t.say(`Done. It all keeps running:

  endpoint        %s   (CA: %s)
  administrator   %s   (password: adminPassword in %s)

  export DESKYARD_BOOTSTRAP=%s
  %s sessionhost list -g %s --host-pool-name %s -o table
  %s orphans
  %s audit list
`, b.Endpoint, b.CAFile, b.AdminUser, s.BootstrapFile, s.BootstrapFile, t.binary(), yard.Group, yard.Pool, t.binary(), t.binary())
	return nil
}

func (t *tour) binary() string {
	return override("DESKYARD_BINARY", filepath.Join(t.repo, "bin", "deskyard"))
}

// override is an environment variable's value, or path where it is not set.
func override(variable, path string) string {
	if v := os.Getenv(variable); v != "" {
		return v
	}
	return path
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n"
}

// clip shortens a text to n bytes or a few more.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}

// lastWords shows why a step may have failed.
func (t *tour) lastWords() {
	if t.stranger != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		journal, err := t.stranger.Shell().Run(ctx, "journalctl --no-pager -n 30 -u 'deskyard*'")
		if err != nil {
			journal = err.Error()
		}
		fmt.Printf("--- the machine's journal\n%s\n--- its console\n%s\n", journal, t.stranger.SerialLog())
	}
	if t.yard != nil && t.yard.Service != nil {
		fmt.Printf("--- the service's log\n%s\n", t.yard.Service.Log(25))
	}
}

// end removes the machines, stops what was started and removes the demo's files,
// unless they may tell why it failed.
func (t *tour) end(keep bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if t.stranger != nil {
		t.stranger.Stop()
	}
	if t.yard != nil {
		if err := t.yard.Clear(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "demo: remove the machines:", err)
		}
		if err := t.yard.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "demo:", err)
		}
	}
	if keep {
		fmt.Fprintln(os.Stderr, "demo: its files are left in", t.dir)
		return
	}
	if t.dir != "" {
		os.RemoveAll(t.dir)
	}
}
