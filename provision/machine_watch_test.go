package provision_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/fake"
)

// atOnce is well below the time after which machines are looked at anyway, 15 s.
const atOnce = 5 * time.Second

func TestMachineThatItsHostTellsOfIsLookedAtAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		end    func(d *fake.Driver, id string) error
		reason string
	}{
		"crashed": {func(d *fake.Driver, id string) error { return d.Crash(id, "qemu was killed") }, "qemu was killed"},
		"stopped": {func(d *fake.Driver, id string) error {
			return d.Power(context.Background(), id, compute.PowerOff)
		}, "shut itself down"},
		"removed": {func(d *fake.Driver, id string) error { d.Vanish(id); return nil }, "is gone from the hypervisor"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newSite(t)
			x.run()
			id := x.machine(1, "")
			x.submit(id, deskyard.JobPut)
			x.until("the machine", func() bool { return x.state(id) == "Succeeded" })
			begun := time.Now()
			if err := c.end(x.hosts[0], guid(1)); err != nil {
				t.Fatal(err)
			}
			x.until("the sighting in its row", func() bool { return strings.Contains(x.reason(id), c.reason) })
			if took := time.Since(begun); took > atOnce {
				t.Errorf("it was noticed after %s", took)
			}
		})
	}
}
