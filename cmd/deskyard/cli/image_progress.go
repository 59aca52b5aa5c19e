package cli

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// imageBar shows how far work on an image is: on a terminal as a bar, elsewhere as a
// line a step.
type imageBar struct {
	out   io.Writer
	shown *mpb.Progress // nil without a terminal
	bar   *mpb.Bar
	name  *atomic.Value // string: the step that bar is in, which it reads as it is drawn
	last  string
	total int64
}

func newImageBar(out io.Writer) *imageBar {
	b := &imageBar{out: out}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		b.shown = mpb.New(mpb.WithOutput(out), mpb.WithWidth(64))
	}
	return b
}

// step is an image.Progress. A step of the same total goes on with the bar.
func (b *imageBar) step(name string, done, total int64) {
	if b.shown == nil {
		if name != b.last {
			fmt.Fprintln(b.out, name)
		}
		b.last = name
		return
	}
	if b.bar == nil || total != b.total {
		b.finish()
		label := &atomic.Value{}
		label.Store(name)
		text := func(decor.Statistics) string { return label.Load().(string) }
		b.bar = b.shown.AddBar(max(total, 1),
			mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Any(text, decor.WC{W: 24, C: decor.DindentRight}), decor.Elapsed(decor.ET_STYLE_GO, decor.WC{W: 6})),
			mpb.AppendDecorators(decor.Percentage(decor.WC{W: 5})))
		b.name, b.total = label, total
	}
	b.name.Store(name)
	b.bar.SetCurrent(done)
}

func (b *imageBar) finish() {
	if b.bar != nil && !b.bar.Completed() {
		b.bar.Abort(true)
	}
	b.bar = nil
}

// end takes the bar away.
func (b *imageBar) end() {
	b.finish()
	if b.shown != nil {
		b.shown.Wait()
	}
}
