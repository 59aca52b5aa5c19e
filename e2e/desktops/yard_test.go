//go:build e2e

// Package desktops opens desktops on a real machine that the service made, from
// everywhere that users come from: a browser, and native clients at both of their doors.
package desktops

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/browser"
	"github.com/deskyard/deskyard/e2e/desktop"
	"github.com/deskyard/deskyard/e2e/service"
	"github.com/deskyard/deskyard/e2e/yard"
	"github.com/deskyard/deskyard/e2e/yard/yardtest"
)

const (
	upn     = "ann@deskyard.local"
	host    = "pc-0"
	madeFor = 8 * time.Minute // one guest under emulation on a busy machine
	openFor = 90 * time.Second
)

// house is an installation with one session host and a user with a desktop.
type house struct {
	*yard.Yard
	ann   service.Person
	repo  string
	shots string // a folder for screenshots and connection files
}

// open starts the service and has it make the host.
func open(t *testing.T) *house {
	t.Helper()
	repo, err := filepath.Abs(filepath.Join("..", ".."))
	must(t, err)
	dir, err := os.MkdirTemp("", "deskyard-desks-") // short: sockets lie in it
	must(t, err)
	ctx := yardtest.Deadline(t, 15*time.Minute) // the first image takes its time
	binary := filepath.Join(repo, "bin", "deskyard")
	image, err := yard.BuildImage(ctx, binary, filepath.Join(repo, "dist", "packages"), dir, nil)
	must(t, err)
	y, err := yard.Open(ctx, yard.Options{Binary: binary, Dir: dir})
	must(t, err)
	h := &house{Yard: y, repo: repo, shots: browser.Shots(t)}
	t.Cleanup(func() { yardtest.End(t, h.Yard, dir) })
	h.ann, err = y.Desk(ctx, upn)
	must(t, err)
	began := time.Now()
	must(t, h.Add(ctx, yardtest.Lines{T: t}, yardtest.Password(), "--name-prefix", "pc", "--count", "1", "--image", image.URN(), "--size", "Custom_2_1024",
		"--vnet", yard.VNet, "--subnet", yard.Subnet, "--admin-user", "deskadmin", "--os-disk-type", "StandardSSD_LRS", "--directory", "MicrosoftEntraID"))
	t.Logf("%s is Available %.1f s after it was asked for", host, time.Since(began).Seconds())
	return h
}

// browse starts a browser at the service.
func (h *house) browse(t *testing.T) *desktop.Browser {
	t.Helper()
	b, err := desktop.Browse(context.WithoutCancel(t.Context()), h.repo, h.Service.Endpoint, h.shots)
	must(t, err)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// inside runs a script in the machine and returns what it wrote.
func (h *house) inside(ctx context.Context, t *testing.T, script string) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"commandId": "RunShellScript", "script": strings.Split(script, "\n")})
	must(t, err)
	out, err := h.CLI(ctx, nil, "rest", "-m", "POST", "-u", h.ID("Microsoft.Compute/virtualMachines/"+host)+"/runCommand?api-version=2024-07-01", "-b", string(body), "-o", "json")
	must(t, err)
	var answer struct{ Value []struct{ Message string } }
	must(t, json.Unmarshal([]byte(out), &answer))
	var text strings.Builder
	for _, v := range answer.Value {
		text.WriteString(v.Message)
	}
	return text.String()
}

// session waits until the host's only session is in a state, none of them for "".
func (h *house) session(ctx context.Context, t *testing.T, state string) service.Session {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(ctx, openFor, fmt.Errorf("%s has no one session that is %q", host, state))
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var list []service.Session
	for {
		now, err := h.Pool.Sessions(ctx, host)
		if err == nil {
			list = now
		}
		if err == nil && state == "" && len(list) == 0 {
			return service.Session{}
		}
		if err == nil && len(list) == 1 && list[0].Properties.SessionState == state {
			return list[0]
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%v: %+v", context.Cause(ctx), list)
		case <-tick.C:
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
