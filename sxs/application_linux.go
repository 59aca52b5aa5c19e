package sxs

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/deskyard/deskyard"
)

// Bounds of the search for the program of a session: below xrdp's process of the session
// stands what it started, and perhaps a shell between.
const (
	programDepth  = 3
	maxEnviron    = 1 << 20
	mostProcesses = 64
)

// applicationType tells sessions that were started for one program from desktops: the
// program's environment says so (deskyard.ApplicationVariable), as the service asked for
// when the session began. A session that cannot be looked into counts as a desktop.
func (l *logind) applicationType(s loginSession) string {
	if s.viaXRDP() && l.ofApplication(int(s.leader)) {
		return "RemoteApp"
	}
	return "Desktop"
}

// ofApplication looks at the processes below leader, level by level.
func (l *logind) ofApplication(leader int) bool {
	level, seen := []int{leader}, 0
	for range programDepth {
		var next []int
		for _, pid := range level {
			next = append(next, l.children(pid)...)
		}
		for _, pid := range next {
			if seen++; seen > mostProcesses {
				return false
			}
			if l.inEnvironment(pid, deskyard.ApplicationVariable) {
				return true
			}
		}
		level = next
	}
	return false
}

// children are the processes that a process's first thread started; none where it ended.
func (l *logind) children(pid int) (all []int) {
	id := strconv.Itoa(pid)
	list, err := os.ReadFile(filepath.Join(l.root, "proc", id, "task", id, "children"))
	if err != nil {
		return nil
	}
	for _, f := range strings.Fields(string(list)) {
		if child, err := strconv.Atoi(f); err == nil {
			all = append(all, child)
		}
	}
	return all
}

// inEnvironment reports whether a process began with a variable set; no for one that
// ended.
func (l *logind) inEnvironment(pid int, name string) bool {
	f, err := os.Open(filepath.Join(l.root, "proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		return false
	}
	defer f.Close() // only read
	environ, err := io.ReadAll(io.LimitReader(f, maxEnviron))
	return err == nil && bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+name+"="))
}
