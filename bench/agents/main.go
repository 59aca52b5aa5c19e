// Command agents measures what ten thousand idle session hosts cost the service:
// memory and processor time of a link, of a heartbeat, and of everybody's return
// at once. The baseline is a bare crypto/tls accept loop, measured in the same run
// with the same client: what no service in Go can do without.
//
//	go run ./bench/agents [-n 10000] [-json FILE]
//
// Server and client are processes of their own, so that each is charged with its
// own work only. All links are real TLS 1.3 with a P-256 certificate.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

func main() {
	n := flag.Int("n", 10000, "links to open")
	out := flag.String("json", "", "also write the figures to `file`")
	role := flag.String("role", "", "server or client: what this process does for the measuring one")
	mode := flag.String("mode", "ours", "ours or bare")
	addr := flag.String("addr", "", "address of the server")
	flag.Parse()
	var err error
	switch *role {
	case "server":
		err = serve(*mode, *n)
	case "client":
		err = connect(*mode, *addr, *n)
	default:
		err = measure(*n, *out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench agents:", err)
		os.Exit(1)
	}
}

// figure is one line of the result.
type figure struct {
	Name     string  `json:"name"`
	Ours     float64 `json:"ours"`
	Baseline float64 `json:"baseline"`
	Ratio    float64 `json:"ratio"`
}

// cost is what a server was charged with.
type cost struct {
	PeakKiB, IdleKiB   float64 // memory of a link: right after connecting, and once idle
	LinkMicros         float64 // processor time of a link that opens
	BeatMicros         float64 // processor time of a heartbeat
	StormSeconds       float64 // until all are back
	StormMicros        float64 // processor time of one that comes back
	WritesDuringBeats  float64
	ConnectLinksPerSec float64
}

func measure(n int, out string) error {
	var costs [2]cost
	for i, mode := range []string{"ours", "bare"} {
		c, err := measureMode(mode, n)
		if err != nil {
			return fmt.Errorf("measure %s: %w", mode, err)
		}
		costs[i] = c
	}
	ours, bare := costs[0], costs[1]
	figures := []figure{
		line("agents: RSS of an idle link, KiB", ours.IdleKiB, bare.IdleKiB),
		line("agents: RSS of a link just opened, KiB", ours.PeakKiB, bare.PeakKiB),
		line("agents: CPU of opening a link, us", ours.LinkMicros, bare.LinkMicros),
		line("agents: CPU of a heartbeat, us", ours.BeatMicros, bare.BeatMicros),
		line("agents: CPU of a returning link, us", ours.StormMicros, bare.StormMicros),
		line("agents: seconds until all are back", ours.StormSeconds, bare.StormSeconds),
		line("agents: store writes by heartbeats", ours.WritesDuringBeats, 0),
	}
	for _, f := range figures {
		fmt.Printf("%-42s %10.1f %10.1f %6.2f\n", f.Name, f.Ours, f.Baseline, f.Ratio)
	}
	if out == "" {
		return nil
	}
	b, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(b, '\n'), 0o644)
}

func line(name string, ours, baseline float64) figure {
	f := figure{Name: name, Ours: ours, Baseline: baseline}
	if baseline > 0 {
		f.Ratio = ours / baseline
	}
	return f
}

// beatsFor is how long heartbeats are counted.
const beatsFor = 15 * time.Second

func measureMode(mode string, n int) (c cost, err error) {
	server, err := start("-role", "server", "-mode", mode, "-n", fmt.Sprint(n))
	if err != nil {
		return c, err
	}
	defer server.end()
	var addr string
	if err := server.read("listening %s", &addr); err != nil {
		return c, err
	}
	client, err := start("-role", "client", "-mode", mode, "-n", fmt.Sprint(n), "-addr", addr)
	if err != nil {
		return c, err
	}
	defer client.end()
	at := func() (usage, error) { return server.usage() }
	before, err := at()
	if err != nil {
		return c, err
	}
	seconds, err := client.do("open")
	if err != nil {
		return c, err
	}
	opened, err := at()
	if err != nil {
		return c, err
	}
	c.ConnectLinksPerSec = float64(n) / seconds
	c.PeakKiB = (opened.RSS - before.RSS) / float64(n)
	c.LinkMicros = (opened.CPU - before.CPU) / float64(n)
	time.Sleep(2 * time.Second) // what the opening left to be written is written
	idle, err := server.collected()
	if err != nil {
		return c, err
	}
	c.IdleKiB = (idle.RSS - before.RSS) / float64(n)
	beats, err := client.do("beat")
	if err != nil {
		return c, err
	}
	beaten, err := at()
	if err != nil {
		return c, err
	}
	c.BeatMicros = (beaten.CPU - idle.CPU) / beats
	c.WritesDuringBeats = beaten.Writes - idle.Writes
	if c.StormSeconds, err = client.do("storm"); err != nil {
		return c, err
	}
	back, err := at()
	if err != nil {
		return c, err
	}
	c.StormMicros = (back.CPU - beaten.CPU) / float64(n)
	return c, nil
}

// usage is what a server's process has used: KiB, microseconds, and store writes.
type usage struct{ RSS, CPU, Writes float64 }

// worker is a process of this program in a role; it takes one word a line and
// answers one line.
type worker struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func start(args ...string) (*worker, error) {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &worker{cmd, in, bufio.NewReader(out)}, nil
}

func (w *worker) read(format string, into ...any) error {
	s, err := w.out.ReadString('\n')
	if err != nil {
		return fmt.Errorf("a process of the benchmark ended: %w", err)
	}
	_, err = fmt.Sscanf(strings.TrimSpace(s), format, into...)
	return err
}

func (w *worker) do(word string) (n float64, err error) {
	if _, err := fmt.Fprintln(w.in, word); err != nil {
		return 0, err
	}
	err = w.read("%g", &n)
	return n, err
}

func (w *worker) ask(word string) (u usage, err error) {
	if _, err := fmt.Fprintln(w.in, word); err != nil {
		return u, err
	}
	err = w.read("%g %g %g", &u.RSS, &u.CPU, &u.Writes)
	return u, err
}

func (w *worker) usage() (usage, error)     { return w.ask("usage") }
func (w *worker) collected() (usage, error) { return w.ask("collect") }

// end lets the process end: its input closes.
func (w *worker) end() {
	w.in.Close()
	if err := w.cmd.Wait(); err != nil {
		fmt.Fprintln(os.Stderr, "bench agents:", err)
	}
}
