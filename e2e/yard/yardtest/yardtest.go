// Package yardtest is what the tests of a yard have in common.
package yardtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/yard"
)

// Lines writes what a command says to people into the test's log.
type Lines struct{ T *testing.T }

// Write never fails.
func (l Lines) Write(b []byte) (int, error) {
	l.T.Log(strings.TrimRight(string(b), "\n"))
	return len(b), nil
}

// Password is a new one, by Azure's rules for administrators of machines.
func Password() string {
	b := make([]byte, 12)
	rand.Read(b) // never fails
	return "Pw1-" + hex.EncodeToString(b)
}

// Deadline is the test's context, ended after d at the latest.
func Deadline(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// End removes a yard's machines, which would outlive its service, and stops the service.
// Its folder goes too, unless the test failed: then the log tells its end.
func End(t *testing.T, y *yard.Yard, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if t.Failed() {
		t.Logf("its files are left in %s; the service's log ends:\n%s", dir, y.Service.Log(30))
	}
	if err := y.Clear(ctx); err != nil {
		t.Error(err)
	}
	if err := y.Close(); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		return
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}
