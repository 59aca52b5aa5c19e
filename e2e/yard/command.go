package yard

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
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

// Clear removes every session host with its machine, so that no machine outlives the
// service.
func (y *Yard) Clear(ctx context.Context) error {
	var pools struct{ Value []struct{ Name string } }
	if err := y.Get(ctx, "Microsoft.DesktopVirtualization/hostPools", "2025-10-10", &pools); err != nil {
		return err
	}
	for _, p := range pools.Value {
		hosts, err := y.Client.Pool(Group, p.Name).Hosts(ctx)
		if err != nil {
			return err
		}
		for _, h := range hosts {
			if _, err := y.CLI(ctx, nil, "sessionhost", "remove", "--ids", h.ID, "--force", "--grace", "0", "--yes"); err != nil {
				return err
			}
		}
	}
	return y.deleteMachines(ctx)
}

// deleteMachines removes machines that never became session hosts.
func (y *Yard) deleteMachines(ctx context.Context) error {
	for _, t := range []string{"Microsoft.Compute/virtualMachines", "Microsoft.HybridCompute/machines"} {
		var list struct{ Value []struct{ ID string } }
		if err := y.Get(ctx, t, "2024-07-01", &list); err != nil {
			return err
		}
		for _, m := range list.Value {
			if err := y.Client.Do(ctx, http.MethodDelete, m.ID+"?api-version=2024-07-01", nil, nil); err != nil {
				return err
			}
		}
	}
	return y.idle(ctx)
}

// idle waits until no QEMU runs any more.
func (y *Yard) idle(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		running, err := y.Processes()
		if err != nil || len(running) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for machines to end: %w; %d run: %s", context.Cause(ctx), len(running), running)
		case <-tick.C:
		}
	}
}
