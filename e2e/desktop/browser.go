package desktop

import (
	"bufio"
	"context"
	_ "embed" // the browser's script
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

//go:embed browser.mjs
var browserScript []byte

// Browser is headless Chromium with the web client. Close ends it. One order at a time.
type Browser struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	script string
}

// Order is what the browser is to do: "do", and what belongs to it (browser.mjs).
type Order map[string]any

// chromiums are the names that it is installed by.
var chromiums = []string{"chromium", "chromium-browser", "google-chrome"}

// ErrNoBrowser is answered where no Chromium is installed.
var ErrNoBrowser = errors.New("start a browser: none is installed: apt-get install chromium")

// Browse starts a browser. repo is the checkout, whose web/node_modules has the library
// that drives it (make web); screenshots go to the folder shots.
func Browse(ctx context.Context, repo, base, shots string) (*Browser, error) {
	program := ""
	for _, name := range chromiums {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		return nil, ErrNoBrowser
	}
	script := filepath.Join(shots, "browser.mjs")
	if err := os.WriteFile(script, browserScript, 0o600); err != nil {
		return nil, fmt.Errorf("start a browser: %w", err)
	}
	b := &Browser{script: script, cmd: exec.CommandContext(ctx, "node", script)}
	b.cmd.Env = append(os.Environ(), "WEB="+filepath.Join(repo, "web"), "BASE="+base, "CHROMIUM="+program, "SHOTS="+shots)
	b.cmd.Stderr = os.Stderr
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Chromium's processes are below it
	b.cmd.Cancel = func() error { return syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL) }
	b.cmd.WaitDelay = 5 * time.Second
	var err error
	if b.in, err = b.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start a browser: %w", err)
	}
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a browser: %w", err)
	}
	b.out = bufio.NewScanner(out)
	if err := b.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a browser: %w", err)
	}
	return b, nil
}

// Do gives an order and waits until it is carried out. into, unless nil, gets what came
// of it; a *time.Time gets when that was.
func (b *Browser) Do(o Order, into any) error {
	done, err := b.Begin(o)
	if err != nil {
		return err
	}
	return done(into)
}

// Begin gives an order; the function that it returns waits until it is carried out.
func (b *Browser) Begin(o Order) (done func(into any) error, err error) {
	if err := json.NewEncoder(b.in).Encode(o); err != nil {
		return nil, fmt.Errorf("tell the browser to %s: %w", o["do"], err)
	}
	return func(into any) error {
		var answer struct {
			Value json.RawMessage
			Error string
		}
		if !b.out.Scan() {
			return fmt.Errorf("browser, %s: it ended: %v", o["do"], b.out.Err())
		}
		if err := json.Unmarshal(b.out.Bytes(), &answer); err != nil {
			return fmt.Errorf("browser, %s: it answered %q", o["do"], b.out.Text())
		}
		if answer.Error != "" {
			return fmt.Errorf("browser, %s: %s", o["do"], answer.Error)
		}
		if at, ok := into.(*time.Time); ok {
			var ms int64
			if err := json.Unmarshal(answer.Value, &ms); err != nil {
				return fmt.Errorf("browser, %s: it answered %q", o["do"], b.out.Text())
			}
			*at = time.UnixMilli(ms)
			return nil
		}
		if into == nil {
			return nil
		}
		return json.Unmarshal(answer.Value, into)
	}, nil
}

// closeFor bounds how long a browser may take to end.
const closeFor = 10 * time.Second

// Close ends the browser and waits until it is gone.
func (b *Browser) Close() error {
	err := b.in.Close()
	timer := time.AfterFunc(closeFor, func() { _ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL) }) // it may have ended
	defer timer.Stop()
	return errors.Join(err, b.cmd.Wait(), os.Remove(b.script))
}
