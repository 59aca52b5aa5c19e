package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/deskyard/deskyard/server"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"deskyard": runProgram})
}

// runProgram is the program of the scripts: the commands alone.
func runProgram() {
	parser, err := kong.New(&program{}, kong.Name("deskyard"), kong.BindTo(context.Background(), (*context.Context)(nil)))
	if err != nil {
		os.Exit(Report(os.Stderr, err))
	}
	line, err := parser.Parse(os.Args[1:])
	if err == nil {
		err = line.Run()
	}
	os.Exit(Report(os.Stderr, err))
}

// TestCommandsAgainstAService runs the stories in testdata, and a person's login,
// against a whole service. Each story has a resource group of its own, $group.
func TestCommandsAgainstAService(t *testing.T) {
	bootstrap := startService(t)
	t.Run("a person logs in with a code", func(t *testing.T) { personLogsIn(t, bootstrap) })
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("DESKYARD_BOOTSTRAP", bootstrap)
			env.Setenv("DESKYARD_CONFIG_DIR", filepath.Join(env.WorkDir, "config"))
			p, err := readBootstrap(bootstrap)
			if err != nil {
				return err
			}
			env.Setenv("bootstrap", bootstrap)
			env.Setenv("subscription", p.SubscriptionID)
			env.Setenv("tenant", p.TenantID)
			env.Setenv("endpoint", p.Endpoint)
			env.Setenv("client", p.ClientID)
			env.Setenv("ca", p.CAFile)
			env.Setenv("group", "rg-"+strings.ToLower(filepath.Base(env.WorkDir)))
			tomorrow := time.Now().UTC().Add(24 * time.Hour)
			env.Setenv("tomorrow", tomorrow.Format(time.RFC3339))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"private": checkPrivate, "asrobot": actAsRobot, "asadmin": actAsAdmin,
			"bootstrapsecret": writeSecret, "secretenv": setSecret, "nosecrets": checkNoSecrets,
		},
	})
}

// actAsRobot goes on as the service principal that `sp create` printed to a file.
func actAsRobot(ts *testscript.TestScript, _ bool, args []string) {
	admin, err := readBootstrap(ts.Getenv("bootstrap"))
	ts.Check(err)
	var robot struct{ AppID, Password string }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &robot))
	admin.ClientID, admin.ClientSecret = robot.AppID, robot.Password
	text, err := json.Marshal(admin)
	ts.Check(err)
	path := ts.MkAbs("robot-bootstrap.json")
	ts.Check(os.WriteFile(path, text, 0o600))
	ts.Setenv("DESKYARD_BOOTSTRAP", path)
}

func actAsAdmin(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Setenv("DESKYARD_BOOTSTRAP", ts.Getenv("bootstrap"))
}

// writeSecret puts the administrator's secret into a file, as an operator would.
func writeSecret(ts *testscript.TestScript, _ bool, args []string) {
	admin, err := readBootstrap(ts.Getenv("bootstrap"))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(admin.ClientSecret+"\n"), 0o600))
}

func setSecret(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv("DESKYARD_CLIENT_SECRET", strings.TrimSpace(ts.ReadFile(args[0])))
}

// checkNoSecrets runs a command and looks for the secret, and for tokens, in all
// that it prints.
func checkNoSecrets(ts *testscript.TestScript, _ bool, args []string) {
	secret := strings.TrimSpace(ts.ReadFile(args[0]))
	ts.Check(ts.Exec(args[1], args[2:]...))
	printed := ts.ReadFile("stdout") + ts.ReadFile("stderr")
	if !strings.Contains(printed, "GET http") {
		ts.Fatalf("requests are not shown: %s", printed)
	}
	if strings.Contains(printed, secret) || strings.Contains(printed, "Bearer ey") {
		ts.Fatalf("a secret is shown")
	}
}

// checkPrivate asserts that only its owner can read a file.
func checkPrivate(ts *testscript.TestScript, neg bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if private := info.Mode().Perm() == 0o600; private == neg {
		ts.Fatalf("%s has mode %s", args[0], info.Mode())
	}
}

// startService runs a service until the test ends and gives its bootstrap file.
func startService(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	config := server.Config{
		Data: filepath.Join(dir, "data"), Listen: "127.0.0.1:" + port, Bootstrap: filepath.Join(dir, "bootstrap.json"),
		Subscription: "Desks", Domain: "desks.test", LogLevel: "info", LogFormat: "text", DrainFor: time.Second,
	}
	if err := config.Check(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- server.Run(ctx, config, "test", slog.New(slog.NewTextHandler(io.Discard, nil)))
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the service ended: %v", err)
		}
	})
	if err := awaitFile(config.Bootstrap, ended); err != nil {
		t.Fatal(err)
	}
	return config.Bootstrap
}

// awaitFile waits for the bootstrap file, which stands once the service is ready.
func awaitFile(path string, ended chan error) error {
	deadline := time.After(60 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		select {
		case err := <-ended:
			ended <- err
			return fmt.Errorf("the service did not start: %w", err)
		case <-deadline:
			return errors.New("the service was not ready within a minute")
		case <-tick.C:
		}
	}
}
