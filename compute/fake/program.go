package fake

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// killAfter is how long a guest's program whose machine has lost its power may take to
// end once it is told to.
const killAfter = 5 * time.Second

// firstBoot is what a guest's program reads: what a machine of a hypervisor finds at its
// first boot. Files are in base64.
type firstBoot struct {
	ID          string            `json:"id"`
	Credentials map[string][]byte `json:"credentials,omitempty"`
	NoCloud     map[string][]byte `json:"noCloud,omitempty"`
}

// Program makes a guest of a program, for rehearsals with machines that answer. It runs
// from each start of a machine, with the machine's id as its argument; what the machine is
// given at its first boot stands on its standard input as JSON, for no secret is on a
// command line; what it writes goes to the serial port. SIGTERM is the power button, and
// it is killed when the power goes. When it ends by itself the machine is off, or has
// crashed if it ended with an error.
func Program(path string) func(context.Context, *Machine) {
	return func(ctx context.Context, m *Machine) {
		s := m.Spec()
		in, err := json.Marshal(firstBoot{s.ID, s.Seed.Credentials, s.Seed.NoCloud})
		if err != nil {
			m.Crash("encode what the guest is given: " + err.Error())
			return
		}
		cmd := exec.CommandContext(ctx, path, s.ID)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH")} // the service's own may hold secrets
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), serialPort{m}, serialPort{m}
		cmd.WaitDelay = killAfter
		if err := cmd.Start(); err != nil {
			m.Crash("start the guest's program: " + err.Error())
			return
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case err = <-ended:
		case <-m.Button():
			if err = cmd.Process.Signal(syscall.SIGTERM); err != nil {
				m.Print("the power button does not reach the guest's program: " + err.Error() + "\n")
			}
			err = <-ended
		}
		switch {
		case ctx.Err() != nil: // the power went first
		case err != nil:
			m.Crash("the guest's program ended: " + err.Error())
		default:
			m.PowerOff()
		}
	}
}

// serialPort is a machine's, for its guest to write to.
type serialPort struct{ m *Machine }

func (p serialPort) Write(text []byte) (int, error) {
	p.m.Print(string(text))
	return len(text), nil
}
