package sxs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/deskyard/deskyard/socket"
)

// displaySocket is the socket on which xorgxrdp takes the one connection of the
// client that looks at its display (xrdp 0.9: xrdp_display_N in its socket folder).
var displaySocket = regexp.MustCompile(`/xrdp_display_(\d+)$`)

// connectedDisplays tells which displays a client looks at now, from the kernel's
// list of Unix sockets.
func connectedDisplays() (map[string]bool, error) {
	f, err := os.Open("/proc/net/unix")
	if err != nil {
		return nil, fmt.Errorf("read the list of sockets: %w", err)
	}
	defer f.Close()
	return readDisplays(f)
}

// readDisplays reads /proc/net/unix: Num RefCount Protocol Flags Type St Inode Path,
// where St 03 is a connected socket.
func readDisplays(r io.Reader) (map[string]bool, error) {
	connected := map[string]bool{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		col := strings.Fields(lines.Text())
		if len(col) < 8 || col[5] != "03" {
			continue
		}
		if m := displaySocket.FindStringSubmatch(col[7]); m != nil {
			connected[m[1]] = true
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the list of sockets: %w", err)
	}
	return connected, nil
}

// disconnectDisplay ends the xrdp process that carries a display to its client; the
// display and its programs go on.
func disconnectDisplay(ctx context.Context, display string) error {
	out, err := exec.CommandContext(ctx, "ss", "-H", "-x", "-p").Output()
	if err != nil {
		return fmt.Errorf("list connections (is iproute2 installed?): %w", err)
	}
	pid, ok := carrierOf(out, display)
	if !ok {
		return &socket.Error{Status: http.StatusConflict, Message: "no client is connected to it"}
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end the connection's process %d: %w", pid, err)
	}
	return nil
}

var socketUser = regexp.MustCompile(`\("xrdp",pid=(\d+),`)

// carrierOf finds, in what `ss -H -x -p` prints, the xrdp process at the far end of
// a display's socket. A line has: type state recvq sendq local-path local-inode
// peer-path peer-inode users.
func carrierOf(list []byte, display string) (pid int, ok bool) {
	peer := ""
	users := map[string]string{} // by local inode
	for line := range bytes.Lines(list) {
		col := strings.Fields(string(line))
		if len(col) < 8 || col[1] != "ESTAB" {
			continue
		}
		if len(col) > 8 {
			users[col[5]] = strings.Join(col[8:], " ")
		}
		if m := displaySocket.FindStringSubmatch(col[4]); m != nil && m[1] == display {
			peer = col[7]
		}
	}
	m := socketUser.FindStringSubmatch(users[peer])
	if peer == "" || m == nil {
		return 0, false
	}
	pid, err := strconv.Atoi(m[1])
	return pid, err == nil
}
