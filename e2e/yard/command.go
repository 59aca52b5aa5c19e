package yard

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// CLI runs a command of `deskyard` as the installation's first administrator and
// returns its output. told gets what it says to people meanwhile; nil drops it.
func (y *Yard) CLI(ctx context.Context, told io.Writer, args ...string) (string, error) {
	return y.cli(ctx, "", told, args)
}

// cli runs one command with input, which may be secret.
func (y *Yard) cli(ctx context.Context, input string, told io.Writer, args []string) (string, error) {
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, y.binary, args...)
	cmd.Env = append(os.Environ(), "DESKYARD_BOOTSTRAP="+y.Service.BootstrapFile)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &said
	if told != nil {
		cmd.Stderr = io.MultiWriter(&said, told)
	}
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("deskyard %s: %w: %s%s", strings.Join(args[:min(2, len(args))], " "), err, tail(out.Bytes(), 1500), tail(said.Bytes(), 1500))
	}
	return out.String(), nil
}

// Add runs `deskyard sessionhost add` for the yard's pool. password is the local
// administrator's, handed over on the standard input.
func (y *Yard) Add(ctx context.Context, told io.Writer, password string, args ...string) error {
	args = append([]string{"sessionhost", "add", "-g", Group, "--host-pool-name", Pool, "--admin-password-file", "-", "--yes"}, args...)
	_, err := y.cli(ctx, password, told, args)
	return err
}

// Remove runs `deskyard sessionhost remove`, which ends when nothing is left.
func (y *Yard) Remove(ctx context.Context, pool, host string) error {
	_, err := y.CLI(ctx, nil, "sessionhost", "remove", "-g", Group, "--host-pool-name", pool, "-n", host, "--grace", "0", "--yes")
	return err
}

// Orphans is what `deskyard orphans` lists.
func (y *Yard) Orphans(ctx context.Context) ([]json.RawMessage, error) {
	out, err := y.CLI(ctx, nil, "orphans", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, fmt.Errorf("read the orphans: %w: %s", err, out)
	}
	return list, nil
}
