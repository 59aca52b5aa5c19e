package agent

import (
	"fmt"
	"slices"
	"testing"

	"github.com/deskyard/deskyard/reverse"
	"github.com/deskyard/deskyard/sxs"
)

// takeAll takes all that there is for the service, as "connection what cause".
func (n *news) takeAll() (all []string) {
	for {
		s, number, some, _ := n.next()
		if !some {
			slices.Sort(all)
			return all
		}
		n.told(number)
		n.told(number) // told twice forgets once
		all = append(all, s.Connection+" "+s.What+" "+s.Cause)
	}
}

func event(number uint64, connection, what string) sxs.Event {
	return sxs.Event{Number: number, Seen: reverse.Seen{Connection: connection, What: what}}
}

func TestWhatAKilledStackCarriedIsLostAndNothingElse(t *testing.T) {
	n := newNews()
	n.hear(sxs.News{Stack: "1", Open: []string{"old"}})
	n.opened("left")
	n.opened("kept")
	n.hear(sxs.News{Stack: "1", Open: []string{"old", "kept"}, Events: []sxs.Event{event(1, "left", sxs.SeenClosed), event(2, "kept", reverse.SeenShell)}})
	n.hear(sxs.News{Stack: "1", Open: []string{"old", "kept"}, Events: []sxs.Event{event(1, "left", sxs.SeenClosed), event(2, "kept", reverse.SeenShell)}})
	if got, want := n.takeAll(), []string{"kept shell "}; !slices.Equal(got, want) {
		t.Fatalf("told %q, want %q", got, want)
	}
	// It is killed; a user comes back before anybody looks, and another came and went.
	n.opened("again")
	n.opened("short")
	n.hear(sxs.News{Stack: "2", Open: []string{"again"}, Events: []sxs.Event{event(1, "short", sxs.SeenClosed)}})
	if got, want := n.takeAll(), []string{"kept lost the stack", "old lost the stack"}; !slices.Equal(got, want) {
		t.Fatalf("told %q, want %q", got, want)
	}
	n.hear(sxs.News{}) // a stack that is older than all this
	n.hear(sxs.News{Stack: "3"})
	if got, want := n.takeAll(), []string{"again lost the stack"}; !slices.Equal(got, want) {
		t.Fatalf("told %q, want %q", got, want)
	}
}

func TestNewsForAServiceThatIsAwayAreBounded(t *testing.T) {
	n := newNews()
	var all []sxs.Event
	for i := range mostUntold + 3 {
		all = append(all, event(uint64(i+1), fmt.Sprint("c", i), reverse.SeenShell))
	}
	n.hear(sxs.News{Stack: "1", Events: all})
	if got := n.takeAll(); len(got) != mostUntold || slices.Contains(got, "c2 shell ") || !slices.Contains(got, "c3 shell ") {
		t.Fatalf("%d told", len(got))
	}
	_, _, some, more := n.next()
	if some {
		t.Fatal("told again")
	}
	n.hear(sxs.News{Stack: "1", Events: []sxs.Event{event(mostUntold+4, "new", reverse.SeenShell)}})
	<-more
}
