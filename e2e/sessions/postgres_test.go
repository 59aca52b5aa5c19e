//go:build e2e

package sessions

import (
	"crypto/rand"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// postgres is a PostgreSQL of the test's own, on loopback.
type postgres struct {
	server process
	dsn    string
	ready  func() bool
}

// newPostgres makes and starts one.
func newPostgres(t *testing.T) *postgres {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	must(t, err)
	if len(found) == 0 {
		t.Skip("needs postgresql")
	}
	slices.Sort(found)
	bin := filepath.Dir(found[len(found)-1])
	dir, err := os.MkdirTemp("/var/tmp", "deskyard-sessions-") // which its account can reach
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // a folder of temporary files
	password := rand.Text()
	must(t, os.WriteFile(filepath.Join(dir, "password"), []byte(password), 0o600))
	run(t, "chown", "-R", "postgres:", dir)
	as := []string{"setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"}
	data := filepath.Join(dir, "data")
	run(t, slices.Concat(as, []string{bin + "/initdb", "--pgdata=" + data, "--username=deskyard", "--pwfile=" + filepath.Join(dir, "password"),
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"})...)
	const port = "25432"
	p := &postgres{dsn: "postgres://deskyard:" + password + "@127.0.0.1:" + port + "/postgres?sslmode=disable"}
	p.server = process{log: filepath.Join(t.TempDir(), "postgres.log"), args: slices.Concat(as, []string{bin + "/postgres", "-D", data, "-p", port,
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="})}
	p.ready = func() bool {
		return exec.Command(bin+"/pg_isready", "--quiet", "--host=127.0.0.1", "--port="+port).Run() == nil
	}
	p.start(t)
	t.Cleanup(func() { p.server.end(t, syscall.SIGINT, 20*time.Second) })
	return p
}

func (p *postgres) start(t *testing.T) {
	t.Helper()
	p.server.start(t)
	must(t, until(t.Context(), 30*time.Second, p.ready))
}

// The database is stopped as a power cut does it, and is away for a while.
func TestSessionsGoOnWithoutThePostgreSQL(t *testing.T) {
	run(t, "ip", "link", "set", "lo", "up")
	db := newPostgres(t)
	// By environment, where no process list shows its password.
	t.Setenv("DESKYARD_DATABASE", db.dsn)
	y := open(t)
	l := &live{yard: y, ann: y.sit(t, "ann")}
	y.ready(t, l.ann)
	y.awaitSession(t, "ann", "Active", 15*time.Second)
	l.bob, l.bobID = y.web(t, "bob", edgePort)
	eve, eveID := y.web(t, "eve", servicePort) // at the service's own gateway
	l.goOn(t, "at first")

	db.server.end(t, syscall.SIGQUIT, 20*time.Second) // an immediate shutdown: nothing is finished
	begin := time.Now()
	status, answer := y.ask(t, "bob", http.MethodPost, serviceURL+"/connect/v1/connections", map[string]any{"resourceId": y.resource})
	t.Logf("without it a new connection is answered %d after %d ms: %s", status, time.Since(begin).Milliseconds(), answer)
	if status < 500 {
		t.Errorf("a new connection is answered %d", status)
	}
	for range 5 {
		l.goOn(t, "without PostgreSQL")
		must(t, eve.step())
		time.Sleep(time.Second)
	}
	must(t, l.bob.Close())
	must(t, eve.Close())
	time.Sleep(2 * time.Second) // both gateways tell in vain

	db.start(t)
	back := time.Now()
	l.awaitRecord(t, l.bobID, "Completed", 45*time.Second)
	l.awaitRecord(t, eveID, "Completed", 45*time.Second)
	t.Logf("both ends are recorded %.1f s after it is back", time.Since(back).Seconds())
	y.awaitSession(t, "ann", "Active", 20*time.Second)
	for _, name := range []string{"bob", "eve"} {
		y.awaitSession(t, name, "", 60*time.Second)
	}
	t.Logf("their places are given back %.1f s after it is back", time.Since(back).Seconds())
	y.available(t)
	l.bob, l.bobID = y.web(t, "bob", edgePort)
	l.goOn(t, "with PostgreSQL back")
	y.secrets[db.dsn] = "the database's password"
}
