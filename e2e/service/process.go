// Package service runs the real Deskyard service as a process of its own and speaks
// to its management API as any client does, for the end-to-end tests and the demo.
package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Bootstrap is the file that `deskyard serve --bootstrap` writes once it is ready.
type Bootstrap struct {
	Endpoint       string `json:"endpoint"`
	CAFile         string `json:"caFile"`
	TenantID       string `json:"tenantId"`
	SubscriptionID string `json:"subscriptionId"`
	ClientID       string `json:"clientId"`
	ClientSecret   string `json:"clientSecret"`
	AdminUser      string `json:"adminUser"`
	AdminPassword  string `json:"adminPassword"`
}

// Service is a running `deskyard serve`. It ends with Stop.
type Service struct {
	Bootstrap
	BootstrapFile string
	LogFile       string

	binary    string
	arguments []string

	process *exec.Cmd
	exited  chan struct{} // closed when the process has ended
	exitErr error         // why, once exited is closed
}

// Options of Start. Binary and Dir are required.
type Options struct {
	Binary    string   // bin/deskyard
	Dir       string   // for the data folder, the log and the bootstrap file
	Arguments []string // of serve, beside those that Start gives
	// Agents is the HOST:PORT at which session hosts reach the service, which then
	// listens on that port of every address. "": a free port of the loopback, which
	// QEMU's own network shows its guests at 10.0.2.2.
	Agents string
}

// Start runs the service and returns when it is ready.
func Start(ctx context.Context, o Options) (*Service, error) {
	listen, agents, err := o.addresses()
	if err != nil {
		return nil, err
	}
	s := &Service{
		BootstrapFile: filepath.Join(o.Dir, "bootstrap.json"),
		LogFile:       filepath.Join(o.Dir, "deskyard.log"),
		binary:        o.Binary,
	}
	s.arguments = []string{"serve", "--data", filepath.Join(o.Dir, "data"), "--bootstrap", s.BootstrapFile,
		"--listen", listen, "--agent-url", "https://" + agents}
	s.arguments = append(s.arguments, o.Arguments...)
	return s, s.launch(ctx)
}

// addresses are where the service listens, and where its agents find it.
func (o Options) addresses() (listen, agents string, err error) {
	if o.Agents != "" {
		_, port, err := net.SplitHostPort(o.Agents)
		return net.JoinHostPort("0.0.0.0", port), o.Agents, err
	}
	port, err := freePort()
	return "127.0.0.1:" + port, "10.0.2.2:" + port, err
}

// Restart stops the service and starts it again with the same data.
func (s *Service) Restart(ctx context.Context) error {
	if err := s.Stop(); err != nil {
		return err
	}
	return s.launch(ctx)
}

// Crash ends the service as a power failure does and starts it again with the same
// data, on the same port.
func (s *Service) Crash(ctx context.Context) error {
	s.process.Process.Kill()
	<-s.exited
	return s.launch(ctx)
}

// launch starts the process and returns when it is ready.
func (s *Service) launch(ctx context.Context) error {
	log, err := os.OpenFile(s.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make the service's log: %w", err)
	}
	defer log.Close()
	before, _ := os.Stat(s.BootstrapFile) // written anew at each start; nil at the first
	cmd := exec.Command(s.binary, s.arguments...)
	cmd.Stdout, cmd.Stderr = log, log
	// An interrupt typed at the terminal comes to us, who stop it in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the service: %w", err)
	}
	exited := make(chan struct{})
	s.process, s.exited = cmd, exited
	go func() {
		s.exitErr = cmd.Wait()
		close(exited)
	}()
	if err := s.awaitBootstrap(ctx, before); err != nil {
		s.Stop()
		return err
	}
	return nil
}

// readyFor bounds the first start: database, certificate authority, secrets.
const readyFor = 60 * time.Second

// awaitBootstrap waits for another bootstrap file than the one of the last start.
func (s *Service) awaitBootstrap(ctx context.Context, before os.FileInfo) error {
	ctx, cancel := context.WithTimeout(ctx, readyFor)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := readUnless(s.BootstrapFile, before)
		if err == nil {
			if err := json.Unmarshal(b, &s.Bootstrap); err != nil {
				return fmt.Errorf("read %s: %w", s.BootstrapFile, err)
			}
			return nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("read the bootstrap file: %w", err)
		}
		select {
		case <-s.exited:
			return fmt.Errorf("the service ended before it was ready: %v; its log ends:\n%s", s.exitErr, s.Log(15))
		case <-ctx.Done():
			return fmt.Errorf("the service was not ready within %s; its log ends:\n%s", readyFor, s.Log(15))
		case <-tick.C:
		}
	}
}

// readUnless reads a file that is not the one of before.
func readUnless(path string, before os.FileInfo) ([]byte, error) {
	now, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if before != nil && os.SameFile(before, now) && now.ModTime().Equal(before.ModTime()) {
		return nil, os.ErrNotExist
	}
	return os.ReadFile(path)
}

// stopFor is longer than the service's own wait for requests under way.
const stopFor = 25 * time.Second

// DataFolder is the service's --data.
func (s *Service) DataFolder() string { return filepath.Join(filepath.Dir(s.BootstrapFile), "data") }

// Stop ends the service as a service manager does and waits until it is gone. A
// second call does nothing.
func (s *Service) Stop() error {
	select {
	case <-s.exited:
		return nil
	default:
	}
	s.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(stopFor):
		s.process.Process.Kill()
		<-s.exited
		return fmt.Errorf("the service did not stop within %s", stopFor)
	}
	if s.exitErr != nil {
		return fmt.Errorf("the service ended with an error: %w", s.exitErr)
	}
	return nil
}

// Log is the end of the service's log.
func (s *Service) Log(lines int) string {
	b, err := os.ReadFile(s.LogFile)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
}
