package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// child is a process of this program in another role.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// start runs this program in a role, its errors going to a log in dir.
func start(ctx context.Context, dir string, env []string, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(dir, args[0]+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make a log: %w", err)
	}
	defer log.Close()
	c := &child{cmd: exec.CommandContext(ctx, self, args...)}
	c.cmd.Stderr, c.cmd.Env = log, append(os.Environ(), env...)
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the role %s: %w", args[0], err)
	}
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// kill ends the process at once; that it was killed is no news.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// ask asks agentsRole how it stands.
func (c *child) ask() (standing, error) {
	var s standing
	if _, err := fmt.Fprintln(c.in); err != nil {
		return s, fmt.Errorf("ask the agents: %w", err)
	}
	line, err := c.out.ReadBytes('\n')
	if err != nil {
		return s, fmt.Errorf("hear the agents: %w", err)
	}
	return s, json.Unmarshal(line, &s)
}

// agentGroups are the processes that simulate the agents of one server.
type agentGroups []*child

// ask adds the groups up.
func (g agentGroups) ask() (standing, error) {
	var all standing
	for _, c := range g {
		s, err := c.ask()
		if err != nil {
			return all, err
		}
		all.Links += s.Links
		all.Beats += s.Beats
		all.Failed += s.Failed
		all.LastUp = max(all.LastUp, s.LastUp)
		all.Last += s.Last
	}
	return all, nil
}

// awaitAll waits until every agent has its link, and says why not.
func (g agentGroups) awaitAll(ctx context.Context, within time.Duration, count int) (standing, error) {
	return g.awaitReturn(ctx, within, count, time.Time{})
}

// awaitReturn is awaitAll for links of which the newest came up after a time: agents
// may not have noticed yet that the old ones broke.
func (g agentGroups) awaitReturn(ctx context.Context, within time.Duration, count int, after time.Time) (standing, error) {
	end := time.Now().Add(within)
	for {
		s, err := g.ask()
		if err != nil || s.Links >= int64(count) && (after.IsZero() || s.LastUp > after.UnixNano()) {
			return s, err
		}
		if time.Now().After(end) {
			return s, fmt.Errorf("only %d of %d agents are linked after %s; %d attempts failed, the last: %s", s.Links, count, within, s.Failed, s.Last)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return s, err
		}
	}
}

// collect makes a role free its memory, and gives it the time to.
func collect(ctx context.Context, pids ...int) error {
	for range 2 { // what finalizers let go of goes the second time
		for _, p := range pids {
			if err := syscall.Kill(p, syscall.SIGUSR1); err != nil {
				return fmt.Errorf("signal process %d: %w", p, err)
			}
		}
		if err := pause(ctx, 3*time.Second); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// startEcho starts the bare loop on an address and waits for its port.
func startEcho(ctx context.Context, dir, address, ca string) (*child, error) {
	c, err := start(ctx, dir, nil, "echo", "--listen", address, "--ca", ca)
	if err != nil {
		return nil, err
	}
	if err := opens(ctx, address); err != nil {
		c.kill()
		return nil, fmt.Errorf("start the bare loop on %s: %w; see echo.log", address, err)
	}
	return c, nil
}

// startAgents starts every second agent of a server, from the number first on.
func startAgents(ctx context.Context, dir, address, ca, seed string, first, count int, bare bool) (*child, error) {
	return start(ctx, dir, []string{"SEED=" + seed}, "agents", "--address", address, "--ca", ca,
		"--first", strconv.Itoa(first), "--count", strconv.Itoa(count), "--bare="+strconv.FormatBool(bare))
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
