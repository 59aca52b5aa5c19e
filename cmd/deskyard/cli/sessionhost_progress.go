package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/deskyard/deskyard"
)

// progressTable shows a run, one line a host. On a terminal the lines are written
// over; elsewhere a host gets a new line whenever its stage changes.
type progressTable struct {
	out   io.Writer
	width int               // of the terminal; 0: not one
	drawn int               // lines on the terminal
	seen  map[string]string // stage told last, by host
}

func newProgressTable(out io.Writer) *progressTable {
	t := &progressTable{out: out, seen: map[string]string{}}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		t.width = 80
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			t.width = w
		}
	}
	return t
}

// maxLive is how many hosts are shown at a time on a terminal: those under way.
const maxLive = 20

func (t *progressTable) update(run deskyard.RunProgress) {
	if t.width == 0 {
		t.tell(run)
		return
	}
	var text strings.Builder
	if t.drawn > 0 {
		fmt.Fprintf(&text, "\x1b[%dA\x1b[J", t.drawn)
	}
	t.drawn = 0
	line := func(s string) {
		text.WriteString(clipLine(s, t.width) + "\n")
		t.drawn++
	}
	done := 0
	for _, h := range run.Hosts {
		if h.Stage == "Available" {
			done++
		}
	}
	live := 0
	for _, h := range run.Hosts {
		if len(run.Hosts) > maxLive && (h.Stage == "Available" || h.Stage == "Queued") || live == maxLive {
			continue
		}
		live++
		line(fmt.Sprintf("  %-15s %s %-10s %5.0f s  %s", h.Name, bar(h.Percent), h.Stage, h.Seconds, h.Detail))
	}
	line(fmt.Sprintf("  %d of %d session hosts Available", done, len(run.Hosts)))
	fmt.Fprint(t.out, text.String())
}

// tell writes what has changed since the last look.
func (t *progressTable) tell(run deskyard.RunProgress) {
	for _, h := range run.Hosts {
		if t.seen[h.Name] == h.Stage {
			continue
		}
		t.seen[h.Name] = h.Stage
		fmt.Fprintln(t.out, strings.TrimRight(fmt.Sprintf("%6.1f s  %s: %s  %s", h.Seconds, h.Name, h.Stage, h.Detail), " "))
	}
}

// end leaves the last picture standing.
func (t *progressTable) end() { t.drawn = 0 }

func bar(percent float64) string {
	const cells = 20
	full := int(min(max(percent, 0), 100) / 100 * cells)
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", cells-full) + "]"
}

// clipLine shortens s to the terminal's width, so that a line stays one line.
func clipLine(s string, width int) string {
	r := []rune(s)
	if len(r) < width {
		return s
	}
	return string(r[:max(width-2, 1)]) + "…"
}
