// Command deskyard is the service (serve), its doctor, and the administrator's
// command line.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/deskyard/deskyard/cmd/deskyard/cli"
)

// version is set by the build.
var version = "dev"

type commands struct {
	Config  kong.ConfigFlag `help:"Read settings of serve and doctor from a YAML file." env:"DESKYARD_CONFIG" placeholder:"FILE"`
	Serve   serveCommand    `cmd:"" help:"Run the service." group:"service"`
	Doctor  doctorCommand   `cmd:"" help:"Report each prerequisite of the service, with the remedy." group:"service"`
	Backup  backupCommand   `cmd:"" help:"Write database and keys to one file while the service runs." group:"service"`
	Restore restoreCommand  `cmd:"" help:"Make a data folder from a backup." group:"service"`
	Version versionCommand  `cmd:"" help:"Print the version." group:"service"`

	Component componentCommands `cmd:"" help:"The packages that session hosts install." group:"service"`
	Gateway   gatewayCommands   `cmd:"" help:"Gateways on machines of their own." group:"service"`

	cli.Commands
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var c commands
	parser, err := kong.New(&c,
		kong.Name("deskyard"),
		kong.Description("Desktop virtualization on your own hardware, behind Azure Virtual Desktop's management API."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.ExplicitGroups(append([]kong.Group{{Key: "service", Title: "Service:"}}, cli.Groups()...)),
		kong.Configuration(loadYAML),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err == nil {
		var line *kong.Context
		if line, err = parser.Parse(os.Args[1:]); err == nil {
			err = line.Run()
		}
	}
	code := cli.Report(os.Stderr, err)
	stop()
	os.Exit(code)
}

type versionCommand struct{}

func (versionCommand) Run() error {
	_, err := fmt.Println("deskyard", version)
	return err
}
