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

	process *exec.Cmd
	exited  chan struct{} // closed when the process has ended
	exitErr error         // why, once exited is closed
}

// Options of Start. All are required.
type Options struct {
	Binary string // bin/deskyard
	Dir    string // for the data folder, the log and the bootstrap file
}

// Start runs the service on a free port of the loopback and returns when it is
// ready. Its agents find it at 10.0.2.2, which is the loopback of the machine that
// runs QEMU as its guests see it.
func Start(ctx context.Context, o Options) (*Service, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &Service{
		BootstrapFile: filepath.Join(o.Dir, "bootstrap.json"),
		LogFile:       filepath.Join(o.Dir, "deskyard.log"),
		exited:        make(chan struct{}),
	}
	log, err := os.Create(s.LogFile)
	if err != nil {
		return nil, fmt.Errorf("make the service's log: %w", err)
	}
	defer log.Close()
	s.process = exec.Command(o.Binary, "serve", "--data", filepath.Join(o.Dir, "data"), "--bootstrap", s.BootstrapFile,
		"--listen", "127.0.0.1:"+port, "--agent-url", "https://10.0.2.2:"+port)
	s.process.Stdout, s.process.Stderr = log, log
	// An interrupt typed at the terminal comes to us, who stop it in order.
	s.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.process.Start(); err != nil {
		return nil, fmt.Errorf("start the service: %w", err)
	}
	go func() {
		s.exitErr = s.process.Wait()
		close(s.exited)
	}()
	if err := s.awaitBootstrap(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// readyFor bounds the first start: database, certificate authority, secrets.
const readyFor = 60 * time.Second

func (s *Service) awaitBootstrap(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyFor)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := os.ReadFile(s.BootstrapFile)
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

// stopFor is longer than the service's own wait for requests under way.
const stopFor = 25 * time.Second

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
