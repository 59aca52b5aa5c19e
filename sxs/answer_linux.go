package sxs

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"
)

// askEach is how often an RDP server that answers is asked again: xrdp starts a process
// for each question, and writes lines into its log.
const askEach = 30 * time.Second

// answer is the last one that the RDP server gave.
type answer struct {
	socket string // the listening socket's inode
	at     time.Time
}

// answers asks the RDP server whether it is there, unless the same listening socket has
// answered not long ago.
func (x *xrdp) answers(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	socket, err := listening(rdpAddress)
	if err != nil {
		return err
	}
	if socket != "" && socket == x.heard.socket && time.Since(x.heard.at) < askEach {
		return nil
	}
	x.heard = answer{}
	if err := probe(ctx, rdpAddress); err != nil {
		return err
	}
	x.heard = answer{socket, time.Now()}
	return nil
}

// listening finds the socket that listens at an IPv4 address and port, by its inode;
// there may be none.
func listening(addr string) (inode string, err error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return "", fmt.Errorf("read the RDP server's address: %w", err)
	}
	table, err := os.Open("/proc/net/tcp")
	if err != nil {
		return "", fmt.Errorf("look for the RDP server's socket: %w", err)
	}
	defer table.Close() // only read
	ip := at.Addr().As4()
	local := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(ip[:]), at.Port())
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
		f := strings.Fields(lines.Text())
		if len(f) > 9 && f[1] == local && f[3] == "0A" {
			return f[9], nil
		}
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("look for the RDP server's socket: %w", err)
	}
	return "", nil
}
