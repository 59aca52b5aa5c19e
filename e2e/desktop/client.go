// Package desktop runs Debian's RDP client, FreeRDP, unmodified, on a screen that
// nobody sees.
package desktop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Client is a running RDP client. End ends it.
type Client struct {
	cmd  *exec.Cmd
	out  strings.Builder
	done chan struct{}
}

// Options of Open. Through is a command that runs the client elsewhere, such as in
// another network namespace; nil runs it here.
type Options struct {
	Address        string // HOST:PORT
	User, Password string
	Through        []string
}

// Open starts the client. It signs in by itself and shows the desktop until ctx ends,
// End is called or the other side is through with it.
func Open(ctx context.Context, o Options) (*Client, error) {
	host, port, err := net.SplitHostPort(o.Address)
	if err != nil {
		return nil, fmt.Errorf("open a desktop: %w", err)
	}
	line := slices.Concat(o.Through, []string{"xvfb-run", "-a", "xfreerdp", "/v:" + host, "/port:" + port,
		"/u:" + o.User, "/p:" + o.Password, "/cert:ignore", "/size:1024x720", "/log-level:WARN"})
	return start(exec.CommandContext(ctx, line[0], line[1:]...))
}

// FileOptions of OpenFile. Screen and File are required.
type FileOptions struct {
	Program   string // "" is Debian's xfreerdp
	File      string // a connection file
	Screen    *Screen
	Home      string // where the client keeps what it keeps
	Arguments []string
	Env       []string
}

// OpenFile has a client open a connection file on a display.
func OpenFile(ctx context.Context, o FileOptions) (*Client, error) {
	if o.Program == "" {
		o.Program = "xfreerdp"
	}
	cmd := exec.CommandContext(ctx, o.Program, append([]string{o.File}, o.Arguments...)...)
	cmd.Env = append(os.Environ(), append([]string{"DISPLAY=" + o.Screen.Display, "HOME=" + o.Home}, o.Env...)...)
	return start(cmd)
}

func start(cmd *exec.Cmd) (*Client, error) {
	c := &Client{cmd: cmd, done: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.out
	c.cmd.WaitDelay = 5 * time.Second
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // xvfb-run has a display server and the client below it
	c.cmd.Cancel = func() error { return syscall.Kill(-c.cmd.Process.Pid, syscall.SIGTERM) }
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the RDP client: %w", err)
	}
	go func() {
		_ = c.cmd.Wait() // what it said tells more than its status
		close(c.done)
	}()
	return c, nil
}

// Done is closed once the client has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// AwaitEnd waits until the other side has ended the client, at most for limit.
func (c *Client) AwaitEnd(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errors.New("the RDP client is still connected"))
	defer cancel()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// End ends the client and waits until it is gone.
func (c *Client) End() {
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGTERM) // it may have ended
	<-c.done
}

// Said is the end of what the client printed; call it after Done.
func (c *Client) Said() string {
	s := strings.TrimSpace(c.out.String())
	return s[max(0, len(s)-800):]
}
