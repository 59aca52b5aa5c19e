package agentapi

import (
	"log/slog"
	"testing"

	"github.com/deskyard/deskyard"
)

func TestTheLastWordsOfAHostAreKnownUntilTheyAreStored(t *testing.T) {
	g := newLedger(nil, slog.New(slog.DiscardHandler), nil)
	nothing := func(*deskyard.SessionHost) {}
	goodbye := deskyard.HostReport{Stopping: true}
	known := func() bool { r, ok := g.lastWords("h"); return ok && r.Stopping }

	if known() {
		t.Fatal("words of a host that never spoke")
	}
	g.noteLast("h", goodbye, nothing)
	if !known() {
		t.Fatal("a host that said goodbye looks as if it had vanished")
	}
	under := g.take() // being written
	if !known() {
		t.Fatal("forgotten before they are stored")
	}
	g.noteLast("h", goodbye, nothing) // it came back and left again meanwhile
	g.stored(under)
	if !known() {
		t.Fatal("the newer words went with the older write")
	}
	g.stored(g.take())
	if known() {
		t.Fatal("kept for ever: the store has them, and may know better since")
	}
}
