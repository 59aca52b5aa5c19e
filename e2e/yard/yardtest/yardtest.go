// Package yardtest is what the tests of a yard have in common.
package yardtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"strings"
	"testing"
	"time"
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
