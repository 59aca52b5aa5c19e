package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"text/tabwriter"

	"github.com/deskyard/deskyard/server"
)

// gatewayCommands run a gateway, and keep the service's list of them: the latter work on
// the service's data folder, in service or not.
type gatewayCommands struct {
	Run    gatewayRunCommand    `cmd:"" default:"withargs" help:"Run a gateway on this machine: deskyard gateway --bundle FILE."`
	Enroll gatewayEnrollCommand `cmd:"" help:"On the service: make the bundle of a new gateway."`
	List   gatewayListCommand   `cmd:"" help:"On the service: list the gateways that it knows."`
	Remove gatewayRemoveCommand `cmd:"" help:"On the service: refuse a gateway from now on."`
}

type gatewayRunCommand struct{ server.GatewayConfig }

// Run serves until ctx ends.
func (g *gatewayRunCommand) Run(ctx context.Context) error {
	return server.RunGateway(ctx, g.GatewayConfig, version, server.NewLog(os.Stderr, g.LogLevel, g.LogFormat))
}

type gatewayEnrollCommand struct {
	server.Config
	Name string   `arg:"" help:"Name of the gateway, as records of connections show it."`
	URL  []string `help:"How session hosts and clients reach the gateway, in the order to try." required:"" name:"url" placeholder:"https://HOST[:PORT]"`
	Out  string   `help:"File to write (mode 0600; default: NAME.gateway.json). It holds the gateway's key: carry it over a safe way, and delete it here." type:"path" placeholder:"FILE"`
}

// Run writes the bundle.
func (g *gatewayEnrollCommand) Run() error {
	if err := g.Check(); err != nil {
		return err
	}
	if g.Out == "" {
		g.Out = g.Name + ".gateway.json"
	}
	if _, err := os.Lstat(g.Out); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write the bundle %s: it exists already; name another file with --out", g.Out)
	}
	b, err := server.EnrollGateway(g.Config, g.Name, g.URL)
	if err != nil {
		return err
	}
	if err := b.Write(g.Out); err != nil {
		return errors.Join(err, server.RemoveGateway(g.Config, g.Name))
	}
	fmt.Printf("Bundle written to %s. On the gateway's machine: deskyard gateway --bundle FILE\n", g.Out)
	return nil
}

type gatewayListCommand struct{ server.Config }

// Run prints the list.
func (g *gatewayListCommand) Run() error {
	if err := g.Check(); err != nil {
		return err
	}
	all, err := server.Gateways(g.Config)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	_, err = fmt.Fprintln(w, "GATEWAY\tCERTIFICATE UNTIL")
	for _, one := range all {
		_, lineErr := fmt.Fprintf(w, "%s\t%s\n", one.Name, one.Until.Format("2006-01-02 15:04"))
		err = errors.Join(err, lineErr)
	}
	return errors.Join(err, w.Flush())
}

type gatewayRemoveCommand struct {
	server.Config
	Name string `arg:"" help:"Name of the gateway."`
}

// Run removes it.
func (g *gatewayRemoveCommand) Run() error {
	if err := g.Check(); err != nil {
		return err
	}
	return server.RemoveGateway(g.Config, g.Name)
}
