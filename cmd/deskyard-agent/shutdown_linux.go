package main

import (
	"context"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
)

// machineStopping tells a shutdown or reboot of the machine from a restart of the
// service: systemd knows, through logind's property, and through its own state
// when the bus is already gone.
func machineStopping(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if preparing(ctx) {
		return true
	}
	// is-system-running fails for every state but "running"; the word is what counts.
	out, _ := exec.CommandContext(ctx, "systemctl", "is-system-running").Output()
	return strings.TrimSpace(string(out)) == "stopping"
}

func preparing(ctx context.Context) bool {
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return false // no bus: systemctl is asked next
	}
	defer conn.Close()
	v, err := conn.Object("org.freedesktop.login1", "/org/freedesktop/login1").GetProperty("org.freedesktop.login1.Manager.PreparingForShutdown")
	if err != nil {
		return false
	}
	yes, ok := v.Value().(bool)
	return ok && yes
}

// running reports whether a process lives.
func running(pid int) bool {
	err := syscall.Kill(pid, 0)
	return pid > 0 && (err == nil || err == syscall.EPERM)
}
