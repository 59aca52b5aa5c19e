package sxs

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	// readEvery is how soon what the session manager wrote is known.
	readEvery = 250 * time.Millisecond
	// mostBehind bounds what is read at once; whoever writes more than that writes for
	// somebody else.
	mostBehind = 1 << 20
)

// sesmanLog is the session manager's log, read as it grows.
type sesmanLog struct {
	path  string
	begun bool        // what was written before the first look is nobody's news
	file  os.FileInfo // what was read last; nil: nothing yet
	at    int64
	rest  []byte // a line's beginning
	sesman
}

// sesmanFile is the log's path by the session manager's configuration in a folder.
func sesmanFile(folder string) string {
	ini, err := os.ReadFile(filepath.Join(folder, "sesman.ini"))
	if err != nil {
		ini = nil // not installed yet, or as shipped: the usual place
	}
	name := cmp.Or(settingsOf(ini, "Logging")["logfile"], "xrdp-sesman.log")
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join("/var/log", name)
}

// watchSignIns follows what the session manager says of legs until ctx ends.
func (l *legs) watchSignIns(ctx context.Context) {
	log := &sesmanLog{path: sesmanFile("/etc/xrdp")}
	if _, err := log.read(); err != nil {
		l.log.Info("what xrdp's session manager says is not known", "err", err)
	}
	tick := time.NewTicker(readEvery)
	defer tick.Stop()
	failed := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		events, err := log.read()
		if err != nil && err.Error() != failed {
			failed = err.Error()
			l.log.Warn("what xrdp's session manager says is not known", "err", err)
		}
		l.heard(events, time.Now())
	}
}

// read gives what was written since the last time; the first time, and where too much
// was, it goes to the end.
func (g *sesmanLog) read() ([]signIn, error) {
	info, err := os.Stat(g.path)
	first := !g.begun
	g.begun = true
	if errors.Is(err, fs.ErrNotExist) {
		g.file, g.at, g.rest = nil, 0, nil
		return nil, nil // nobody has written yet
	}
	if err != nil {
		return nil, fmt.Errorf("read the session manager's log: %w", err)
	}
	rotated := g.file != nil && !os.SameFile(g.file, info)
	g.file = info
	if rotated || info.Size() < g.at {
		g.at, g.rest = 0, nil
	}
	if first || info.Size()-g.at > mostBehind {
		g.at, g.rest = info.Size(), nil
	}
	if info.Size() == g.at {
		return nil, nil
	}
	return g.more()
}

// more reads on from where it was.
func (g *sesmanLog) more() ([]signIn, error) {
	f, err := os.Open(g.path)
	if err != nil {
		return nil, fmt.Errorf("read the session manager's log: %w", err)
	}
	defer f.Close() // only read
	in := bufio.NewReader(io.NewSectionReader(f, g.at, mostBehind))
	var events []signIn
	for {
		line, err := in.ReadBytes('\n')
		g.at += int64(len(line))
		g.rest = append(g.rest, line...)
		if err == nil || len(g.rest) > maxLine {
			if e, ok := g.sesman.read(string(bytes.TrimSpace(g.rest))); ok {
				events = append(events, e)
			}
			g.rest = g.rest[:0]
		}
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return events, fmt.Errorf("read the session manager's log: %w", err)
		}
	}
}

// maxLine is longer than any line of interest.
const maxLine = 4 << 10
