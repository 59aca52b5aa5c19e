package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows/registry"
	"golang.org/x/sys/windows/svc"

	"github.com/deskyard/deskyard/bootloader"
)

// The Windows build compiles and has not been run on Windows.
var (
	programData   = filepath.Join(os.Getenv("ProgramData"), "Deskyard")
	defaultSocket = filepath.Join(programData, "run", "bootloader.sock")
	defaultRoot   = filepath.Join(os.Getenv("ProgramFiles"), "Deskyard")
	defaultState  = programData
)

// serviceName is the service's name in the service manager.
const serviceName = "DeskyardBootLoader"

// runService runs under the service manager, or in the foreground at a console.
func runService(c *commands) error {
	if err := passKey(c.State); err != nil {
		return err
	}
	isService, err := svc.IsWindowsService()
	if err != nil {
		return fmt.Errorf("ask whether this is a service: %w", err)
	}
	if !isService {
		ctx, stop := notifyStop()
		defer stop()
		return c.supervise(ctx, nil, func() {})
	}
	return svc.Run(serviceName, service{c})
}

// passKey gives the agent the registration key that its installer left in the
// registry, in the environment, until the machine has registered; then it erases it.
func passKey(state string) error {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, `SOFTWARE\Deskyard\Agent`, registry.QUERY_VALUE|registry.SET_VALUE)
	if errors.Is(err, registry.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read registration key from the registry: %w", err)
	}
	defer k.Close()
	const name, env = "RegistrationToken", "REGISTRATIONTOKEN"
	value, _, err := k.GetStringValue(name)
	if errors.Is(err, registry.ErrNotExist) || err == nil && value == "" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read registration key from the registry: %w", err)
	}
	if _, err := bootloader.ReadService(filepath.Join(state, "agent.json")); err == nil {
		return k.SetStringValue(name, "")
	}
	return os.Setenv(env, value)
}

// service adapts the supervisor to the service manager.
type service struct{ c *commands }

// Execute implements svc.Handler. A boot loader that is to be replaced ends with a
// failure, and the service's recovery action starts the new one.
func (s service) Execute(_ []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (specific bool, code uint32) {
	const accepts = svc.AcceptStop | svc.AcceptShutdown
	status <- svc.Status{State: svc.StartPending}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.c.supervise(ctx, nil, func() {}) }()
	status <- svc.Status{State: svc.Running, Accepts: accepts}
	for {
		select {
		case err := <-done:
			status <- svc.Status{State: svc.StopPending}
			if err == nil {
				return false, 0
			}
			if r := (*bootloader.Reexec)(nil); errors.As(err, &r) {
				return true, 2
			}
			return true, 1
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				status <- r.CurrentStatus
			case svc.Stop, svc.Shutdown:
				status <- svc.Status{State: svc.StopPending}
				cancel()
			}
		}
	}
}

// hangUp has no equivalent: the service manager restarts the service.
func hangUp(int) error {
	return errors.New("reload boot loader: restart the service " + serviceName)
}
