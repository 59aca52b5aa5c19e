//go:build unix

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/deskyard/deskyard/bootloader"
)

const (
	defaultSocket = bootloader.DefaultSocket
	defaultRoot   = "/opt/deskyard"
	defaultState  = "/var/lib/deskyard"
)

// runService runs in the foreground, as systemd wants it. A replacement is an exec:
// the service keeps its process, and the components run on.
func runService(c *commands) error {
	ctx, stop := notifyStop()
	defer stop()
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	err := c.supervise(ctx, reload, func() { tellSystemd("READY=1") })
	r := (*bootloader.Reexec)(nil)
	if errors.As(err, &r) {
		signal.Stop(reload)
		signal.Ignore(syscall.SIGHUP) // a second wish must not end the program between two images
		err = bootloader.Exec(r.Path, os.Args[1:])
		fmt.Fprintln(os.Stderr, "deskyard-bootloader:", err)
		// The version on trial does not start. This one goes on: it finds the trial
		// open at its start and closes it.
		return errors.Join(err, bootloader.Exec(ownPath(), os.Args[1:]))
	}
	tellSystemd("STOPPING=1")
	return err
}

func ownPath() string {
	p, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return p
}

// tellSystemd speaks the service manager's notification protocol; without a
// service manager that listens it does nothing.
func tellSystemd(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err == nil {
		_, err = conn.Write([]byte(state))
		err = errors.Join(err, conn.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "deskyard-bootloader: tell service manager:", err)
	}
}

// hangUp asks a running boot loader to replace itself.
func hangUp(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		return fmt.Errorf("reload boot loader (process %d): %w", pid, err)
	}
	return nil
}
