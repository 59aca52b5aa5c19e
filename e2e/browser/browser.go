// Package browser tells stories: programs in Node that drive headless Chromium, and say
// line by line what they want of the world outside the browser. Their common part is
// story.mjs beside it.
package browser

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"
)

// longest is how long a story may take.
const longest = 15 * time.Minute

// Shots is where screenshots go: DESKYARD_SHOTS, or a folder of the test's.
func Shots(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("DESKYARD_SHOTS")
	if dir == "" {
		return t.TempDir()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Do is what a story may want, by its name, and of what; the answer is JSON to the story.
type Do func(ctx context.Context, want string, of json.RawMessage) (any, error)

// Tell runs a story of the test's folder, which finds about, as JSON, in its environment.
// The test fails when a wish cannot be met, and when the story ends badly.
func Tell(t *testing.T, story string, about any, do Do) {
	t.Helper()
	text, err := json.Marshal(about)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	node := exec.CommandContext(ctx, "node", story)
	node.Env = append(os.Environ(), "ABOUT="+string(text))
	var why bytes.Buffer // of a story that ends badly
	node.Stderr = &why
	in, err := node.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var line struct {
			Want, Say string
			Of        json.RawMessage
		}
		switch err := json.Unmarshal(lines.Bytes(), &line); {
		case err != nil:
			t.Logf("story: %s", lines.Text())
		case line.Say != "":
			t.Logf("%5.1f s  %s", time.Since(began).Seconds(), line.Say)
		default:
			answer, err := do(ctx, line.Want, line.Of)
			if err != nil {
				t.Errorf("the story wants %q: %v", line.Want, err)
			}
			if err := json.NewEncoder(in).Encode(answer); err != nil {
				t.Errorf("answer the story: %v", err)
			}
		}
	}
	if err := node.Wait(); err != nil {
		t.Errorf("the story ended badly: %v\n%s", err, why.Bytes())
	}
}
