package sxs

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/deskyard/deskyard/socket"
)

// Bounds of a message, as AVD's portal has them.
const (
	maxTitle = 256
	maxBody  = 4096
)

// showers are the programs that can put a text on a desktop, best first. The text
// is an argument of a program that runs as the user whom it is for.
var showers = []struct {
	program string
	args    func(title, body string) []string
}{
	{"zenity", func(t, b string) []string { return []string{"--info", "--no-markup", "--title=" + t, "--text=" + b} }},
	{"kdialog", func(t, b string) []string { return []string{"--title", t, "--msgbox", b} }},
	{"xmessage", func(t, b string) []string { return []string{"-center", "-title", t, b} }},
	{"notify-send", func(t, b string) []string { return []string{"--urgency=critical", "--", t, b} }},
}

func (l *logind) message(ctx context.Context, native, title, body string) error {
	s, err := l.find(ctx, native)
	if err != nil {
		return err
	}
	title, body = printable(title, maxTitle), printable(body, maxBody)
	if s.display == "" && s.kind != graphicalNative {
		return writeTerminal(s, title, body)
	}
	env, err := desktopEnvironment(s)
	if err != nil {
		return err
	}
	for _, w := range showers {
		path, err := exec.LookPath(w.program)
		if err != nil {
			continue
		}
		return l.show(s, exec.Command(path, w.args(title, body)...), env)
	}
	return &socket.Error{Status: http.StatusConflict, Message: "the machine has no program to show a message; install zenity or x11-utils (xmessage)"}
}

// show starts a program in the user's desktop, as the user. It stays until the user
// closes it, so nobody waits for it but the one that collects it.
func (l *logind) show(s loginSession, cmd *exec.Cmd, env []string) error {
	var st syscall.Stat_t
	home := "/"
	for _, e := range env {
		if h, ok := strings.CutPrefix(e, "HOME="); ok {
			home = h
		}
	}
	gid := s.uid
	if err := syscall.Stat(home, &st); err == nil && st.Uid == s.uid {
		gid = st.Gid
	}
	cmd.Env, cmd.Dir = env, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: s.uid, Gid: gid}}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", filepath.Base(cmd.Path), err)
	}
	go func() {
		if err := cmd.Wait(); err != nil {
			l.log.Debug("message program ended", "program", filepath.Base(cmd.Path), "err", err)
		}
	}()
	return nil
}

// desktopEnvironment is what a program needs to reach the session's desktop, taken
// from a process that is in it.
func desktopEnvironment(s loginSession) ([]string, error) {
	pids, err := processesOf(s.id)
	if err != nil {
		return nil, err
	}
	wanted := []string{"DISPLAY=", "WAYLAND_DISPLAY=", "XAUTHORITY=", "XDG_RUNTIME_DIR=", "DBUS_SESSION_BUS_ADDRESS=", "HOME=", "LANG=", "PATH="}
	for _, pid := range pids {
		var st syscall.Stat_t
		dir := fmt.Sprintf("/proc/%d", pid)
		if err := syscall.Stat(dir, &st); err != nil || st.Uid != s.uid {
			continue // gone, or a guardian that runs as root
		}
		b, err := os.ReadFile(dir + "/environ")
		if err != nil {
			continue
		}
		var env []string
		reaches := false
		for _, e := range strings.Split(string(b), "\x00") {
			for _, w := range wanted {
				if strings.HasPrefix(e, w) {
					env = append(env, e)
					reaches = reaches || w == "DISPLAY=" || w == "WAYLAND_DISPLAY="
				}
			}
		}
		if reaches {
			return env, nil
		}
	}
	return nil, &socket.Error{Status: http.StatusConflict, Message: "no program of the session shows a desktop yet; try again when it has started"}
}

// writeTerminal writes a message where a terminal login reads it.
func writeTerminal(s loginSession, title, body string) error {
	path, err := terminalOf(s)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NOCTTY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("open the session's terminal: %w", err)
	}
	_, err = fmt.Fprintf(f, "\r\n\a%s\r\n%s\r\n", title, strings.ReplaceAll(body, "\n", "\r\n"))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write to the session's terminal: %w", err)
	}
	return nil
}

// terminalOf is the terminal of a login: logind's word for it, or, for ssh, which
// does not tell logind, that of one of its processes.
func terminalOf(s loginSession) (string, error) {
	if s.tty != "" {
		return "/dev/" + strings.TrimPrefix(s.tty, "/dev/"), nil
	}
	pids, err := processesOf(s.id)
	if err != nil {
		return "", err
	}
	for _, pid := range pids {
		target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/0", pid))
		if err == nil && strings.HasPrefix(target, "/dev/pts/") {
			return target, nil
		}
	}
	return "", &socket.Error{Status: http.StatusConflict, Message: "the session has neither a desktop nor a terminal to show a message on"}
}

// printable drops control characters, which could drive a terminal, and cuts.
func printable(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r == '\n' || r >= ' ' && r != 0x7f && (r < 0x80 || r > 0x9f) {
			return r
		}
		return -1
	}, s)
	if r := []rune(s); len(r) > most {
		s = string(r[:most-1]) + "…"
	}
	return s
}
