//go:build e2e

package sessions

import (
	"testing"
	"time"
)

func TestSessionsGoOnWhateverFailsAroundThem(t *testing.T) {
	y := open(t)
	ann := y.sit(t, "ann")
	y.ready(t, ann)
	y.awaitSession(t, "ann", "Active", 15*time.Second)
	_, ticket := y.ticketFor(t, "bob")
	bob, err := y.greet(t, edgePort, ticket)
	must(t, err)
	must(t, bob.begin())
	must(t, bob.step())
	must(t, bob.step())
	t.Logf("echo %v", ann.echo(t, 20))
}
