package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/deskyard/deskyard/sqlstore"
)

// Finding is the outcome of one prerequisite that doctor looked at.
type Finding struct {
	Name   string `json:"name"`
	Result string `json:"result"` // pass | warn | fail
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"`
}

// Levels of what doctor asks of the machine.
const (
	minFreeDisk = 1 << 30 // database, packages and a backup of both
	minOpenFile = 4096    // one for each session host's link, and some
)

// Diagnose looks at each prerequisite of serving with this configuration. It
// changes nothing but a probe file in the data folder.
func Diagnose(ctx context.Context, c Config) []Finding {
	if err := c.Check(); err != nil {
		return []Finding{{"configuration", "fail", err.Error(), "Correct the settings named above."}}
	}
	findings := []Finding{{Name: "configuration", Result: "pass", Detail: "every setting is well formed"}}
	for _, look := range []func(context.Context, Config) Finding{
		checkData, checkDisk, checkListen, checkOpenFiles, checkClock, checkDatabase, checkOwnCertificate, checkPackages,
	} {
		findings = append(findings, look(ctx, c))
	}
	return findings
}

func pass(name, format string, args ...any) Finding {
	return Finding{Name: name, Result: "pass", Detail: fmt.Sprintf(format, args...)}
}

func fail(name, remedy, format string, args ...any) Finding {
	return Finding{Name: name, Result: "fail", Detail: fmt.Sprintf(format, args...), Remedy: remedy}
}

func checkData(_ context.Context, c Config) Finding {
	const name = "data folder"
	dir := existing(c.Data)
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return fail(name, "Give the user that runs the service write access to it, or choose another with --data.", "%v", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if st, err := os.Stat(c.Data); err == nil && st.Mode().Perm()&0o077 != 0 {
		return fail(name, "chmod 700 "+c.Data, "%s can be entered by others (mode %o); it holds keys", c.Data, st.Mode().Perm())
	}
	return pass(name, "%s can be written", c.Data)
}

func checkDisk(_ context.Context, c Config) Finding {
	const name = "disk space"
	var st unix.Statfs_t
	if err := unix.Statfs(existing(c.Data), &st); err != nil {
		return fail(name, "Check the file system that holds the data folder.", "%v", err)
	}
	free := st.Bavail * uint64(st.Bsize)
	if free < minFreeDisk {
		return fail(name, "Free space there, or choose another folder with --data.", "%d MiB free for %s; 1024 are needed", free>>20, c.Data)
	}
	return pass(name, "%d MiB free", free>>20)
}

func checkListen(ctx context.Context, c Config) Finding {
	const name = "listen address"
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && isDeskyard(ctx, c.Listen):
		return pass(name, "%s is served by Deskyard already", c.Listen)
	case errors.Is(err, syscall.EACCES):
		return fail(name, "Choose a port above 1023, or grant the program cap_net_bind_service.", "%v", err)
	case err != nil:
		return fail(name, "Stop what listens there, or choose another address with --listen.", "%v", err)
	}
	l.Close()
	return pass(name, "%s is free", c.Listen)
}

// isDeskyard tells a running service of ours by the name that every leaf of its
// own CA carries.
func isDeskyard(ctx context.Context, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{agentProtocol, "http/1.1"}}}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	certs := conn.(*tls.Conn).ConnectionState().PeerCertificates
	return len(certs) > 0 && certs[0].VerifyHostname(AgentName) == nil
}

func checkOpenFiles(context.Context, Config) Finding {
	const name = "open files"
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return fail(name, "Check the system's limits.", "%v", err)
	}
	if lim.Max < minOpenFile {
		return Finding{name, "warn", fmt.Sprintf("at most %d open files", lim.Max), "Raise the limit (LimitNOFILE= in the unit) before adding thousands of session hosts: each holds one connection."}
	}
	return pass(name, "at most %d", lim.Max)
}

func checkClock(context.Context, Config) Finding {
	const name = "clock"
	// A program cannot be older than the clock says it is now.
	exe, err := os.Executable()
	if err != nil {
		return fail(name, "Check the installation.", "%v", err)
	}
	st, err := os.Stat(exe)
	if err != nil {
		return fail(name, "Check the installation.", "%v", err)
	}
	if now := time.Now(); now.Before(st.ModTime().Add(-24 * time.Hour)) {
		return fail(name, "Set the clock, and keep it set with NTP: tokens and certificates depend on it.", "it says %s, before this program was installed (%s)", now.UTC().Format(time.RFC3339), st.ModTime().UTC().Format(time.RFC3339))
	}
	return pass(name, "%s", time.Now().UTC().Format(time.RFC3339))
}

func checkDatabase(ctx context.Context, c Config) Finding {
	const name = "database"
	if path, ok := sqlitePath(c.Database); ok {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return pass(name, "%s will be made", path)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := sqlstore.Probe(ctx, c.Database); err != nil {
		return fail(name, "Check that the server runs, and the name, user and password in --database; for SQLite, restore the file from a backup.", "%v", err)
	}
	return pass(name, "answers")
}

func checkOwnCertificate(_ context.Context, c Config) Finding {
	const name = "certificate"
	if c.TLSCert == "" {
		return pass(name, "the service's own CA")
	}
	pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return fail(name, "Give the chain (leaf first) with --tls-cert and its key with --tls-key, both PEM.", "%v", err)
	}
	left := time.Until(pair.Leaf.NotAfter)
	switch {
	case left <= 0:
		return fail(name, "Renew it.", "%s expired at %s", c.TLSCert, pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	case pair.Leaf.VerifyHostname(urlHost(c.PublicURL)) != nil:
		return fail(name, "Use a certificate for that name, or change --public-url.", "%s is not for %s", c.TLSCert, urlHost(c.PublicURL))
	case left < 14*24*time.Hour:
		return Finding{name, "warn", fmt.Sprintf("%s expires in %d days", c.TLSCert, int(left.Hours()/24)), "Renew it; the service reads the new files by itself."}
	}
	return pass(name, "valid until %s", pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
}

func checkPackages(_ context.Context, c Config) Finding {
	const name = "agent packages"
	dir := c.componentsFolder()
	found, err := filepath.Glob(filepath.Join(dir, "*.tar.gz"))
	if err != nil || len(found) == 0 {
		return Finding{name, "warn", "none in " + dir, "Build them with 'make packages', or name their folder with --components; without them session hosts cannot install or update."}
	}
	return pass(name, "%d in %s", len(found), dir)
}

// existing is the nearest folder at or above path that exists.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}
