// Command deskyard-bootloader runs the components of a session host: it starts
// them, keeps them up, updates them from the service and rolls back a version that
// does not come up.
package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"github.com/deskyard/deskyard/bootloader"
)

// version is set by the linker.
var version = "0.0.0-dev"

// self is the component that this program is.
const self = "bootloader"

// titles are the names by which people know the components, in the order of the list.
var titles = []struct{ name, title string }{
	{"agent", "Infrastructure Agent"},
	{self, "Boot Loader"},
	{"sxs-stack", "SxS Network Stack"},
	{"monitoring-agent", "Monitoring Agent"},
}

type commands struct {
	Socket  string           `help:"Control socket." default:"${socket}" env:"DESKYARD_BOOTLOADER_SOCKET"`
	Root    string           `help:"Folder of the installed components." default:"${root}" env:"DESKYARD_COMPONENTS"`
	State   string           `help:"Folder of the machine's state." default:"${state}" env:"DESKYARD_STATE"`
	Version kong.VersionFlag `help:"Print the version and exit."`

	Run      runCommand      `cmd:"" help:"Run the components until stopped. The service manager starts this."`
	Status   statusCommand   `cmd:"" help:"Show the components with versions, state and what is kept."`
	List     listCommand     `cmd:"" help:"List the installed components with their versions, without asking the service."`
	Use      useCommand      `cmd:"" help:"Put an installed version of a component on trial."`
	Reload   reloadCommand   `cmd:"" hidden:"" help:"Replace the running boot loader by the installed current version."`
	Selftest selftestCommand `cmd:"" hidden:"" help:"Prove that this program starts."`
	SignIn   signInCommand   `cmd:"" name:"signin" hidden:"" help:"Ask whether somebody may sign in. PAM starts this."`
}

func main() {
	var c commands
	k := kong.Parse(&c, kong.Name("deskyard-bootloader"), kong.UsageOnError(),
		kong.Description("Runs, updates and rolls back the components of a Deskyard session host."),
		kong.Vars{"version": version, "socket": defaultSocket, "root": defaultRoot, "state": defaultState})
	if err := k.Run(&c); err != nil {
		fmt.Fprintln(os.Stderr, "deskyard-bootloader:", err)
		os.Exit(1)
	}
}

type selftestCommand struct{}

func (selftestCommand) Run() error { return nil }

type runCommand struct{}

// Run runs the service, under the service manager of the system.
func (runCommand) Run(c *commands) error { return runService(c) }

// supervise runs the components until ctx ends. reload tells of a wish to be
// replaced by the installed current version.
func (c *commands) supervise(ctx context.Context, reload <-chan os.Signal, ready func()) error {
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	// Before the agent has registered, a guest of the service knows it from its invitation.
	read := func() (bootloader.Service, error) {
		service, err := bootloader.ReadService(filepath.Join(c.State, "agent.json"))
		if errors.Is(err, bootloader.ErrNotRegistered) {
			return bootloader.ReadService(c.guestState())
		}
		return service, err
	}
	s, err := bootloader.New(bootloader.Options{
		Root: c.Root, StateDir: filepath.Join(c.State, "bootloader"), RunDir: filepath.Dir(c.Socket), Socket: c.Socket,
		Fetcher: bootloader.ServiceFetcher{Read: read},
		Key: func() (ed25519.PublicKey, error) {
			service, err := read()
			if err != nil {
				return nil, err
			}
			return service.Key()
		},
		Self: self, SelfVersion: version, Log: log,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var guests sync.WaitGroup
	defer guests.Wait()
	defer cancel() // runs first: the guest's link ends with the service
	g, run, err := c.guest(log)
	if err != nil {
		log.Error("guest link not begun", "error", err)
	} else if g != nil {
		guests.Go(func() { run(ctx) })
	}
	guests.Go(func() { c.serveSignOn(ctx, g, log) })
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	ready()
	for {
		select {
		case err := <-done:
			return err
		case <-reload:
			if err := s.Replace(); err != nil {
				log.Error("boot loader not replaced", "error", err)
			}
		}
	}
}

// withoutTime leaves the time to journald, which has its own.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && os.Getenv("JOURNAL_STREAM") != "" {
		return slog.Attr{}
	}
	return a
}

type statusCommand struct {
	JSON bool `help:"As JSON." name:"json"`
}

// Run asks the running boot loader.
func (s statusCommand) Run(c *commands) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	status, err := bootloader.NewClient(c.Socket).Status(ctx)
	if err != nil {
		return err
	}
	if s.JSON {
		return printJSON(os.Stdout, status)
	}
	return printStatus(os.Stdout, status)
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// printStatus writes the table: the four components that every host has, installed
// or not, then any others.
func printStatus(w io.Writer, status bootloader.Status) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "COMPONENT\tVERSION\tSTATE\tKEPT\tDETAIL")
	row := func(title string, c bootloader.Component) {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", title, orDash(c.Version), c.State, orDash(strings.Join(c.Kept, " ")), orDash(detail(c)))
	}
	known := map[string]bool{}
	for _, n := range titles {
		known[n.name] = true
		c, ok := status.Component(n.name)
		if !ok {
			c.State = "Absent"
		}
		row(n.title, c)
	}
	for _, c := range status.Components {
		if !known[c.Name] {
			row(c.Name, c)
		}
	}
	return t.Flush()
}

func detail(c bootloader.Component) string {
	d := c.Detail
	if c.Failed != "" && !strings.Contains(d, c.Failed) {
		d = strings.TrimSpace(fmt.Sprintf("%s version %s failed (attempts: %d)", d, c.Failed, c.Attempts))
	}
	return strings.ReplaceAll(d, "\n", "; ")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

type listCommand struct{}

// Run reads the disk: it works while the service is stopped, too.
func (listCommand) Run(c *commands) error {
	all, err := bootloader.Installed(c.Root)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tCOMPONENT\tVERSION\tKEPT")
	for _, i := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", titleOf(i), i.Name, orDash(i.Version), orDash(strings.Join(i.Kept, " ")))
	}
	return t.Flush()
}

func titleOf(c bootloader.Component) string {
	for _, n := range titles {
		if n.name == c.Name {
			return n.title
		}
	}
	if c.Title != "" {
		return c.Title
	}
	return c.Name
}

type useCommand struct {
	Component string `arg:"" help:"Component, such as agent."`
	Version   string `arg:"" help:"Installed version."`
	IfNewer   bool   `help:"Do nothing unless the version is newer than the current one."`
}

// Run asks the running boot loader, or, when none runs, points the current version
// at the one named: the next start takes it.
func (u useCommand) Run(c *commands) error {
	if u.IfNewer {
		linked, err := bootloader.Linked(c.Root, u.Component)
		if err != nil {
			return err
		}
		if linked != "" && bootloader.CompareVersions(u.Version, linked) <= 0 {
			return nil
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client := bootloader.NewClient(c.Socket)
	if _, err := client.Status(ctx); err == nil {
		return client.SetDesired(ctx, []bootloader.Desired{{Component: u.Component, Version: u.Version, Force: true}})
	}
	return bootloader.Point(c.Root, u.Component, u.Version)
}

type reloadCommand struct{}

// Run has the running boot loader replace itself; none running is well, too.
func (reloadCommand) Run(c *commands) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	status, err := bootloader.NewClient(c.Socket).Status(ctx)
	if err != nil {
		return nil // it is not running: its next start is of the current version
	}
	b, ok := status.Component(self)
	if !ok || b.PID <= 1 {
		return errors.New("reload boot loader: the running one does not tell its process")
	}
	return hangUp(b.PID)
}

// notifyStop is a context that ends when the service manager or a person stops the
// program.
func notifyStop() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}
