// Tour shows Deskyard at work, step by step with times: it starts the service, makes
// a pool and a key with Microsoft's own SDK, boots a Debian machine that knows
// nothing, joins it with the key, reboots it, and leaves all that running to be
// tried out. `make demo` builds and runs it from the root of the checkout.
//
// DEMO_EXIT=1 ends it after the last step. Whatever it started ends with it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/deskyard/deskyard/e2e/guest"
	"github.com/deskyard/deskyard/e2e/join"
	"github.com/deskyard/deskyard/e2e/service"
)

const (
	group    = "rg1"
	poolName = "hp1"
	hostName = "sh-0"

	bootFor   = 4 * time.Minute // until SSH answers, under emulation on a busy machine
	statusFor = 4 * time.Minute // until a status is reached, likewise
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	t := &tour{start: time.Now()}
	err := t.run(ctx)
	if err == nil && os.Getenv("DEMO_EXIT") == "" {
		t.say("Ctrl-C ends the service and the machine.")
		<-ctx.Done()
		fmt.Println()
	}
	interrupted := ctx.Err() != nil
	if err != nil && !interrupted {
		t.lastWords()
	}
	t.end(err != nil && !interrupted)
	if err != nil && !interrupted {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// tour is one run of the demo.
type tour struct {
	start   time.Time
	dir     string
	service *service.Service
	machine *guest.Machine
	pool    service.Pool
	shown   string // status shown last
}

// say prints a step with the time since the start.
func (t *tour) say(format string, args ...any) {
	fmt.Printf("%6.1f s  %s\n", time.Since(t.start).Seconds(), fmt.Sprintf(format, args...))
}

func (t *tour) run(ctx context.Context) error {
	repo, err := os.Getwd()
	if err != nil {
		return err
	}
	if t.dir, err = os.MkdirTemp("", "deskyard-demo-"); err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	debs, err := join.FindPackages(override("DESKYARD_PACKAGES", filepath.Join(repo, "dist", "packages")))
	if err != nil {
		return err
	}
	t.say("Guest image: Debian 12, knows nothing of Deskyard")
	image, err := guest.BuildImage(ctx, repo)
	if err != nil {
		return err
	}
	accel := guest.ProbeAccelerator(ctx, image)
	t.say("Machines run by %s", accel.Reason)
	if err := t.startService(ctx, repo); err != nil {
		return err
	}
	key, err := t.makePool(ctx, repo)
	if err != nil {
		return err
	}
	if err := t.boot(ctx, image, accel); err != nil {
		return err
	}
	if err := t.join(ctx, debs, key); err != nil {
		return err
	}
	if err := t.reboot(ctx, key); err != nil {
		return err
	}
	if err := t.list(ctx, repo); err != nil {
		return err
	}
	t.howToGoOn(repo)
	return nil
}

// list has the administrator's CLI show the pool's hosts.
func (t *tour) list(ctx context.Context, repo string) error {
	cmd := exec.CommandContext(ctx, binary(repo), "sessionhost", "list", "-g", group, "--host-pool-name", poolName, "-o", "table")
	cmd.Env = append(os.Environ(), "DESKYARD_BOOTSTRAP="+t.service.BootstrapFile)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("list the hosts with the CLI: %w: %s", err, out)
	}
	t.say("deskyard sessionhost list:\n\n%s", indent(string(out)))
	return nil
}

func (t *tour) startService(ctx context.Context, repo string) error {
	t.say("Starts the service: one binary, one TLS port, its own CA and database")
	var err error
	if t.service, err = service.Start(ctx, service.Options{Binary: binary(repo), Dir: t.dir}); err != nil {
		return err
	}
	client, err := service.NewClient(t.service.Bootstrap)
	if err != nil {
		return err
	}
	t.pool = client.Pool(group, poolName)
	t.say("It answers at %s", t.service.Endpoint)
	return nil
}

// makePool has Microsoft's SDK make group, pool and key, and returns the key.
func (t *tour) makePool(ctx context.Context, repo string) (string, error) {
	t.say("Microsoft's @azure/arm-desktopvirtualization makes a host pool and its registration key")
	keyFile := filepath.Join(t.dir, "key")
	cmd := exec.CommandContext(ctx, "node", "pool.mjs", group, poolName, keyFile)
	cmd.Dir = filepath.Join(repo, "e2e", "clients", "js")
	cmd.Env = append(os.Environ(), "DESKYARD_BOOTSTRAP="+t.service.BootstrapFile, "NODE_EXTRA_CA_CERTS="+t.service.CAFile)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("make the pool with the SDK: %w: %s", err, out)
	}
	t.say("It %s", strings.TrimSpace(string(out)))
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return "", fmt.Errorf("read the key: %w", err)
	}
	return string(key), os.Remove(keyFile)
}

func (t *tour) boot(ctx context.Context, image guest.Image, accel guest.Accelerator) error {
	t.say("Boots %s", hostName)
	var err error
	if t.machine, err = guest.Start(ctx, guest.Options{Name: hostName, Image: image, Accel: accel, Dir: t.dir}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, bootFor)
	defer cancel()
	return t.machine.Shell().Wait(ctx)
}

// join installs the packages while it shows what the service says of the host.
func (t *tour) join(ctx context.Context, debs join.Packages, key string) error {
	t.say("Copies the two packages to it and installs them, the agent with the key: its only input")
	if err := join.Copy(ctx, t.machine.Shell(), debs); err != nil {
		return err
	}
	installed := make(chan error, 1)
	go func() { installed <- join.Install(ctx, t.machine.Shell(), debs, key) }()
	err := t.show(ctx, "Available")
	if failure := <-installed; failure != nil {
		return failure
	}
	if err != nil {
		return err
	}
	components, err := t.machine.Shell().Run(ctx, "deskyard-bootloader status")
	if err != nil {
		return err
	}
	t.say("Its components:\n\n%s", indent(components))
	return t.keyIsGone(ctx, key)
}

func (t *tour) keyIsGone(ctx context.Context, key string) error {
	found, err := join.KeyLeftBehind(ctx, t.machine.Shell(), key)
	if err != nil {
		return err
	}
	if found != "" {
		return fmt.Errorf("the registration key is still on the machine: %s", found)
	}
	t.say("The key is nowhere on the machine any more")
	return nil
}

func (t *tour) reboot(ctx context.Context, key string) error {
	t.say("Reboots %s", hostName)
	t.machine.Shell().Run(ctx, "systemctl reboot") // the connection may end before the command
	if err := t.show(ctx, "Shutdown"); err != nil {
		return err
	}
	if err := t.show(ctx, "Available"); err != nil {
		return err
	}
	if err := t.machine.Shell().Wait(ctx); err != nil {
		return err
	}
	return t.keyIsGone(ctx, key)
}

// show prints each status of the host until it has the wanted one.
func (t *tour) show(ctx context.Context, want string) error {
	ctx, cancel := context.WithTimeout(ctx, statusFor)
	defer cancel()
	_, err := t.pool.Watch(ctx, hostName, want, func(_ service.Sighting, h service.Host) {
		line := h.Properties.Status
		if h.Properties.StatusReason != "" {
			line += "  (" + clip(h.Properties.StatusReason, 150) + ")"
		}
		if line == t.shown {
			return
		}
		t.shown = line
		t.say("    %s: %s", hostName, line)
	})
	return err
}

// clip shortens a text to n bytes or a few more.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}

func (t *tour) howToGoOn(repo string) {
	b := t.service.Bootstrap
	t.say(`Done. It all keeps running:

  endpoint        %s   (CA: %s)
  administrator   %s   (password: adminPassword in %s)

  export DESKYARD_BOOTSTRAP=%s
  %s sessionhost list -g %s --host-pool-name %s -o table
  %s hostpool show -g %s -n %s
  %s audit list
`, b.Endpoint, b.CAFile, b.AdminUser, t.service.BootstrapFile, t.service.BootstrapFile,
		binary(repo), group, poolName, binary(repo), group, poolName, binary(repo))
}

func binary(repo string) string {
	return override("DESKYARD_BINARY", filepath.Join(repo, "bin", "deskyard"))
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

// lastWords shows why a step may have failed.
func (t *tour) lastWords() {
	if t.machine != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		journal, err := t.machine.Shell().Run(ctx, "journalctl --no-pager -n 30 -u 'deskyard*'")
		if err != nil {
			journal = err.Error()
		}
		fmt.Printf("--- the machine's journal\n%s\n--- its console\n%s\n", journal, t.machine.SerialLog())
	}
	if t.service != nil {
		fmt.Printf("--- the service's log\n%s\n", t.service.Log(25))
	}
}

// end stops what was started and removes the demo's files, unless they may tell why
// it failed.
func (t *tour) end(keep bool) {
	if t.machine != nil {
		t.machine.Stop()
	}
	if t.service != nil {
		if err := t.service.Stop(); err != nil {
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
