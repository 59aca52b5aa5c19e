package guest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Shell runs commands on a machine over SSH with a key made for this run.
type Shell struct {
	addr   string
	signer ssh.Signer

	mu      sync.Mutex    // guards what follows
	hostKey ssh.PublicKey // the machine's, as first seen
	client  *ssh.Client   // root's connection; nil when there is none
}

// newShell makes a key, or takes the one of another machine.
func newShell(addr string, of *Machine) (*Shell, error) {
	if of != nil {
		return &Shell{addr: addr, signer: of.shell.signer}, nil
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make an SSH key: %w", err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return nil, fmt.Errorf("make an SSH key: %w", err)
	}
	return &Shell{addr: addr, signer: signer}, nil
}

func (s *Shell) authorizedKey() []byte { return ssh.MarshalAuthorizedKey(s.signer.PublicKey()) }

// AuthorizedKey is the line that lets this shell's key into another account.
func (s *Shell) AuthorizedKey() string { return strings.TrimSpace(string(s.authorizedKey())) }

// checkHostKey takes the first key it sees, as nobody can know it before the
// machine has made it, and no other after it.
func (s *Shell) checkHostKey(_ string, _ net.Addr, key ssh.PublicKey) error {
	if s.hostKey == nil {
		s.hostKey = key
		return nil
	}
	if !bytes.Equal(s.hostKey.Marshal(), key.Marshal()) {
		return errors.New("the machine's host key has changed")
	}
	return nil
}

// dialFor bounds one SSH handshake; under emulation on a busy machine it takes
// seconds.
const dialFor = 20 * time.Second

func (s *Shell) dial(user string) (*ssh.Client, error) {
	conn, err := net.DialTimeout("tcp", s.addr, dialFor)
	if err != nil {
		return nil, err
	}
	// QEMU's user network accepts before the guest does, so the deadline matters.
	conn.SetDeadline(time.Now().Add(dialFor))
	c, channels, requests, err := ssh.NewClientConn(conn, s.addr, &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(s.signer)}, HostKeyCallback: s.checkHostKey, Timeout: dialFor,
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	return ssh.NewClient(c, channels, requests), nil
}

// connection returns root's connection, making it when there is none.
func (s *Shell) connection() (*ssh.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		c, err := s.dial("root")
		if err != nil {
			return nil, fmt.Errorf("log in over SSH: %w", err)
		}
		s.client = c
	}
	return s.client, nil
}

// close drops root's connection; the next command makes a new one.
func (s *Shell) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		s.client.Close()
		s.client = nil
	}
}

// Wait returns when the machine answers over SSH.
func (s *Shell) Wait(ctx context.Context) error {
	err := poll(ctx, 500*time.Millisecond, func() error {
		_, err := s.Run(ctx, "true")
		return err
	})
	if err != nil {
		return fmt.Errorf("wait for the machine to answer over SSH: %w", err)
	}
	return nil
}

// Run runs a command line as root and returns its standard output. An error carries
// what the command wrote to its standard error.
func (s *Shell) Run(ctx context.Context, command string) (string, error) {
	return s.feed(ctx, command, nil)
}

// Put writes a file, mode 0600, in a folder that exists.
func (s *Shell) Put(ctx context.Context, path string, content io.Reader) error {
	_, err := s.feed(ctx, "umask 077 && cat >"+quote(path), content)
	return err
}

func (s *Shell) feed(ctx context.Context, command string, in io.Reader) (string, error) {
	out, err := s.attempt(ctx, command, in)
	if errors.Is(err, errNoSession) && ctx.Err() == nil {
		// The machine rebooted under an old connection; nothing was run or read yet.
		return s.attempt(ctx, command, in)
	}
	return out, err
}

// errNoSession says that a connection carries no new session.
var errNoSession = errors.New("no SSH session to be had")

func (s *Shell) attempt(ctx context.Context, command string, in io.Reader) (string, error) {
	client, err := s.connection()
	if err != nil {
		return "", err
	}
	// Closing the connection is what ends each of the calls below on a machine that
	// has stopped answering.
	unwatch := context.AfterFunc(ctx, func() { client.Close() })
	defer unwatch()
	out, err := execute(client, command, in)
	var exit *ssh.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.close()
	}
	switch {
	case ctx.Err() != nil:
		return out, fmt.Errorf("run %q: %w", brief(command), context.Cause(ctx))
	case err != nil:
		return out, fmt.Errorf("run %q: %w", brief(command), err)
	}
	return out, nil
}

// execute runs one command to its end.
func execute(client *ssh.Client, command string, in io.Reader) (string, error) {
	session, err := client.NewSession()
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoSession, err)
	}
	defer session.Close()
	var out, problems bytes.Buffer
	session.Stdin, session.Stdout, session.Stderr = in, &out, &problems
	if err := session.Run(command); err != nil {
		return out.String(), fmt.Errorf("%w: %s", err, strings.TrimSpace(problems.String()))
	}
	return out.String(), nil
}

// Login opens a session as user on a terminal of its own, which lasts until the
// returned function is called or the machine ends it; ended is closed then.
func (s *Shell) Login(user string) (logout func(), ended <-chan struct{}, err error) {
	client, err := s.dial(user)
	if err != nil {
		return nil, nil, fmt.Errorf("log in as %s: %w", user, err)
	}
	session, err := client.NewSession()
	if err == nil {
		err = session.RequestPty("xterm", 24, 80, ssh.TerminalModes{})
	}
	var in io.WriteCloser
	if err == nil {
		in, err = session.StdinPipe() // kept open: a shell at its end of input logs out
	}
	if err == nil {
		err = session.Shell()
	}
	if err != nil {
		client.Close()
		return nil, nil, fmt.Errorf("open a terminal as %s: %w", user, err)
	}
	over := make(chan struct{})
	go func() {
		session.Wait()
		in.Close()
		client.Close()
		close(over)
	}()
	return func() { client.Close(); <-over }, over, nil
}

// brief shortens a command for messages; it may carry a secret after its first word.
func brief(command string) string {
	if len(command) > 60 {
		return command[:60] + "…"
	}
	return command
}

// quote makes s one word of a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
