package provision_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/compute/fake"
)

// crowd is five machines on a host with two processors, whose guests come one by one.
type crowd struct {
	*site
	ids   []arm.ResourceID
	come  chan struct{} // each place lets one guest come
	later atomic.Int64  // what the clock is ahead by
}

func newCrowd(t *testing.T) *crowd {
	c := &crowd{site: newSite(t, fake.Options{CPUs: 2}), come: make(chan struct{})}
	all := sync.OnceFunc(func() { close(c.come) })
	t.Cleanup(all)
	c.opt.Hypervisors[0].CPURatio = 8
	c.opt.Now = func() time.Time { return time.Now().Add(time.Duration(c.later.Load())) }
	c.guests.silent = func(string) bool { <-c.come; return false }
	c.run()
	if _, err := c.hosts[0].Capabilities(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		c.ids = append(c.ids, c.machine(n+1, ""))
		c.submit(c.ids[n], deskyard.JobPut)
	}
	c.until("two boot, three wait", func() bool { return c.hosts[0].Calls(fake.Start) == 2 && c.waiting() == 3 })
	return c
}

// waiting is how many say that they wait to boot.
func (c *crowd) waiting() (n int) {
	for _, id := range c.ids {
		if strings.Contains(c.reason(id), "2 machines boot on 'host1', which has 2 processors") {
			n++
		}
	}
	return n
}

func TestOnlyAsManyMachinesBootAsTheirHostHasProcessors(t *testing.T) {
	c := newCrowd(t)
	for starts := 3; starts <= 5; starts++ {
		c.come <- struct{}{}
		for _, id := range c.ids { // a guest's link wakes its machine
			c.s.Wake(deskyard.WorkMachine, id)
		}
		c.until("the next one boots", func() bool { return c.hosts[0].Calls(fake.Start) == starts && c.waiting() == 5-starts })
	}
	c.come <- struct{}{}
	c.come <- struct{}{}
	c.until("all are there", func() bool {
		for _, id := range c.ids {
			c.s.Wake(deskyard.WorkMachine, id)
			if c.state(id) != "Succeeded" || c.reason(id) != "" {
				return false
			}
		}
		return true
	})
}

func TestABootThatHangsKeepsOthersWaitingForMinutesAlone(t *testing.T) {
	c := newCrowd(t)
	c.later.Store(int64(4 * time.Minute))
	for _, id := range c.ids {
		c.s.Wake(deskyard.WorkMachine, id)
	}
	c.until("two more boot", func() bool { return c.hosts[0].Calls(fake.Start) == 4 && c.waiting() == 1 })
}
