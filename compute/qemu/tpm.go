package qemu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// makeTPM gives a machine a TPM of its own: its seeds and endorsement key are made
// here and never leave the machine's folder.
func (m *machine) makeTPM(ctx context.Context) error {
	there, err := exists(m.path(tpmFolder))
	if err != nil || there {
		return err
	}
	draft := m.path(tpmFolder + ".new")
	if err := os.RemoveAll(draft); err != nil {
		return fmt.Errorf("make the TPM: %w", err)
	}
	if err := os.Mkdir(draft, 0o700); err != nil {
		return fmt.Errorf("make the TPM: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, time.Minute) // key generation, on a busy host
	defer cancel()
	cmd := exec.CommandContext(limited, m.d.firmware.swtpmSetup, "--tpm2", "--tpmstate", draft, "--createek", "--pcr-banks", "sha256", "--not-overwrite")
	if os.Geteuid() == 0 {
		cmd.Args = append(cmd.Args, "--runas", "root") // of the folder; else it becomes user tss
	}
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("make the TPM: %w: %s", err, lastLine(string(out)))
	}
	if err := os.Rename(draft, m.path(tpmFolder)); err != nil {
		return fmt.Errorf("make the TPM: %w", err)
	}
	return nil
}

// startTPM starts the TPM's process. It ends by itself when QEMU lets go of it.
func (m *machine) startTPM(ctx context.Context) error {
	if err := m.endTPM(ctx); err != nil {
		return err
	}
	socket, err := m.listen(tpmSocket)
	if err != nil {
		return fmt.Errorf("start the TPM: %w", err)
	}
	defer socket.Close()
	limited, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	// --daemon returns once it serves the socket, which it inherits.
	cmd := exec.CommandContext(limited, m.d.firmware.swtpm, "socket", "--tpm2", "--daemon", "--terminate",
		"--tpmstate", "dir="+m.path(tpmFolder)+",mode=0600", "--ctrl", "type=unixio,fd=3",
		"--pid", "file="+m.path(tpmPID), "--log", "file="+m.path("swtpm.log")+",truncate", "--seccomp", "action=kill")
	cmd.ExtraFiles = []*os.File{socket}
	cmd.WaitDelay = time.Second
	cmd.Dir = m.folder
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.CombinedOutput()
	if err == nil {
		err = m.give(m.path(tpmSocket))
	}
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("start the TPM: %w: %s", err, lastLine(string(out)))
	}
	return nil
}

// tpmProcess finds the TPM's process, 0 when none runs. A number proves nothing: the
// process must name this machine's folder.
func (m *machine) tpmProcess() (int, error) {
	b, err := os.ReadFile(m.path(tpmPID))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look for the TPM: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid < 2 {
		return 0, nil // it was killed while it wrote the number
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !bytes.Contains(line, []byte("dir="+m.path(tpmFolder)+",")) {
		return 0, nil // another's
	}
	return pid, nil
}

// endTPM ends a TPM's process that outlived its QEMU.
func (m *machine) endTPM(ctx context.Context) error {
	pid, err := m.tpmProcess()
	if err != nil {
		return err
	}
	if pid != 0 {
		if err := kill(pid); err != nil {
			return fmt.Errorf("end the TPM: %w", err)
		}
		if err := ended(ctx, pid, func() (bool, error) { return true, nil }); err != nil {
			return fmt.Errorf("end the TPM: %w", err)
		}
	}
	return removeFile(m.path(tpmPID))
}
