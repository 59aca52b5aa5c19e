package provision_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/fake"
)

func TestMachineIsMadeNamedAndDescribed(t *testing.T) {
	x := newSite(t)
	x.run()
	id := x.machine(1, "")
	op := x.submit(id, deskyard.JobPut)
	x.until("the machine", func() bool { return x.state(id) == "Succeeded" })
	if o := x.operation(op); o.Status != "Succeeded" || !o.Done() {
		t.Errorf("operation: %+v", o)
	}
	spec, ok := x.hosts[0].Spec(guid(1))
	if !ok || spec.CPUs != 2 || spec.MemoryMB != 8192 || spec.Disk.SizeGB != 8 || spec.NICs[0].Address.String() != "10.0.2.5" || spec.Tags["team"] != "blue" {
		t.Errorf("made as %+v", spec)
	}
	if len(x.guests.did) != 1 || x.guests.did[0].Kind != deskyard.StepAdmin || !strings.Contains(string(x.guests.did[0].Secrets), "Correct-Horse-9") {
		t.Errorf("steps in the guest: %+v", x.guests.did)
	}
	if strings.Contains(string(x.guests.did[0].Settings), "Correct-Horse") {
		t.Error("the password is among the settings, which may be logged")
	}
	var doc struct {
		Compute struct {
			Name, VMID, Location string
		}
	}
	if err := json.Unmarshal(x.guests.metadata[guid(1)], &doc); err != nil || doc.Compute.Name != "sh-1" || doc.Compute.VMID != guid(1) || doc.Compute.Location != "eastus" {
		t.Errorf("metadata %s, %v", x.guests.metadata[guid(1)], err)
	}
	w, err := x.store.Work(t.Context(), deskyard.WorkMachine, id)
	if err != nil || strings.Contains(string(w.State)+string(w.Sealed), "Correct-Horse") {
		t.Errorf("the password is in the store in clear, or the work is gone: %v", err)
	}
	if n := x.properties(nicID("sh-1")); n["virtualMachine"].(map[string]any)["id"] != id.String() {
		t.Errorf("the interface does not say whose it is: %v", n)
	}
	if l := x.s.Live(t.Context(), id)[id.Key()]; l.Power != "running" || !l.Connected || l.Host != "host1" || l.Problem != "" {
		t.Errorf("live: %+v", l)
	}
}

func TestDeletedMachineLeavesNothing(t *testing.T) {
	x := newSite(t)
	x.run()
	id := x.machine(1, "")
	x.submit(id, deskyard.JobPut)
	x.until("the machine", func() bool { return x.state(id) == "Succeeded" })
	op := x.submit(id, deskyard.JobDelete)
	x.until("its end", func() bool { return x.operation(op).Done() })
	if m, items := x.made(); m+items != 0 {
		t.Errorf("%d machines, %d pieces left", m, items)
	}
	for _, gone := range []arm.ResourceID{id, nicID("sh-1")} {
		if x.properties(gone) != nil {
			t.Errorf("the row of %s is left", gone)
		}
	}
	if _, err := x.store.Guest(t.Context(), guid(1)); !isMissing(err) {
		t.Errorf("the guest is left: %v", err)
	}
	if !x.guests.forgot[guid(1)] {
		t.Error("the guest's key is still believed")
	}
	x.until("the work's end", func() bool {
		_, err := x.store.Work(t.Context(), deskyard.WorkMachine, id)
		return isMissing(err)
	})
}

// killingStore ends the service at the nth thing that it does to the world: the write
// or the driver call happens, and whoever asked for it never learns.
type killing struct {
	left  atomic.Int64
	armed atomic.Bool
	kill  atomic.Pointer[context.CancelFunc]
}

func (k *killing) tick() bool {
	if k.armed.Load() && k.left.Add(-1) == 0 {
		(*k.kill.Load())()
		return true
	}
	return false
}

var errKilled = errors.New("killed")

type killingStore struct {
	deskyard.Store
	k *killing
}

func (s killingStore) Write(ctx context.Context, f func(context.Context, deskyard.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.Store.Write(ctx, f)
	if s.k.tick() {
		return errKilled
	}
	return err
}

type killingDriver struct {
	compute.Driver
	k *killing
}

func (d killingDriver) Ensure(ctx context.Context, s compute.Spec) error {
	return d.after(d.Driver.Ensure(ctx, s))
}
func (d killingDriver) Filter(ctx context.Context, id string, nic int, r []compute.Rule) error {
	return d.after(d.Driver.Filter(ctx, id, nic, r))
}
func (d killingDriver) Power(ctx context.Context, id string, p compute.Power) error {
	return d.after(d.Driver.Power(ctx, id, p))
}
func (d killingDriver) Remove(ctx context.Context, id string) error {
	return d.after(d.Driver.Remove(ctx, id))
}
func (d killingDriver) after(err error) error {
	if d.k.tick() {
		return errKilled
	}
	return err
}

// TestKillBehindEveryStepMakesOneMachineAndRemovesItWhole makes and removes a machine
// once for each write and driver call there is, with the service killed behind it.
func TestKillBehindEveryStepMakesOneMachineAndRemovesItWhole(t *testing.T) {
	reached := 0
	for n := int64(1); ; n++ {
		if !killedAt(t, n) {
			break
		}
		reached++
	}
	if reached < 10 { // a write more or less, as wakes and looks fall together
		t.Errorf("only %d places to be killed at: the loop does not see the steps", reached)
	}
}

// killedAt reports whether there was an nth thing to be killed behind.
func killedAt(t *testing.T, n int64) (killed bool) {
	x := newSite(t, fake.Options{}, fake.Options{})
	k := &killing{}
	k.left.Store(n)
	db := x.store
	x.opt.Store = killingStore{db, k}
	for i := range x.opt.Hypervisors {
		x.opt.Hypervisors[i].Driver = killingDriver{x.hosts[i], k}
	}
	run := func() <-chan struct{} {
		s := x.run()
		ctx, cancel := context.WithCancel(context.Background())
		dead := context.CancelFunc(cancel)
		k.kill.Store(&dead)
		_ = s
		return ctx.Done()
	}
	dead := run()
	id := x.machine(1, "")
	x.submit(id, deskyard.JobPut)
	k.armed.Store(true)
	drive := func(what string, done func() bool) {
		x.until(fmt.Sprintf("%s (killed at %d)", what, n), func() bool {
			select {
			case <-dead:
				killed = true
				k.armed.Store(false)
				dead = run()
			default:
			}
			return done()
		})
	}
	drive("the machine", func() bool { return x.state(id) == "Succeeded" })
	if m, _ := x.made(); m != 1 {
		t.Fatalf("killed at %d: %d machines", n, m)
	}
	x.submit(id, deskyard.JobDelete)
	drive("its removal", func() bool {
		_, err := db.Work(t.Context(), deskyard.WorkMachine, id)
		return isMissing(err)
	})
	if m, items := x.made(); m+items != 0 || x.properties(id) != nil || x.properties(nicID("sh-1")) != nil {
		t.Fatalf("killed at %d: %d machines and %d pieces left", n, m, items)
	}
	if x.guests.invited != 1 {
		t.Errorf("killed at %d: invited %d times", n, x.guests.invited)
	}
	select { // behind the very last thing, which drive need not see
	case <-dead:
		killed = true
	default:
	}
	x.halt()
	return killed
}

func TestGuestThatNeverComesFailsWithItsConsoleAndIsKept(t *testing.T) {
	x := newSite(t)
	x.guests.silent = func(string) bool { return true }
	var late atomic.Int64
	x.opt.Now = func() time.Time { return time.Now().Add(time.Duration(late.Load())) }
	x.run()
	id := x.machine(1, "")
	op := x.submit(id, deskyard.JobPut)
	x.until("the start", func() bool { return x.hosts[0].Calls(fake.Observe) > 0 })
	if x.state(id) != "Creating" {
		t.Fatalf("state %q before the deadline", x.state(id))
	}
	late.Store(int64(16 * time.Minute))
	x.s.Wake(deskyard.WorkMachine, id)
	x.until("the deadline", func() bool { return x.state(id) == "Failed" })
	o := x.operation(op)
	if o.Status != "Failed" || o.Error.Code != "OSProvisioningTimedOut" || !strings.Contains(o.Error.Message, "no network") || !strings.Contains(x.reason(id), "boot-diagnostics") {
		t.Errorf("told: %+v, %s", o.Error, x.reason(id))
	}
	if m, _ := x.made(); m != 1 {
		t.Error("the machine was not kept")
	}

	x.guests.silent = func(string) bool { return false }
	op = x.submit(id, deskyard.JobPut)
	x.until("the second try", func() bool { return x.operation(op).Done() })
	if x.state(id) != "Succeeded" || x.reason(id) != "" {
		t.Errorf("after another PUT: %s, %s", x.state(id), x.reason(id))
	}
	if m, _ := x.made(); m != 1 {
		t.Errorf("%d machines after another PUT", m)
	}
}

func TestOneOfTenFailsAndHoldsNobodyUp(t *testing.T) {
	x := newSite(t)
	x.guests.silent = func(name string) bool { return name == "sh-4" }
	x.opt.Parallel = 2
	x.run()
	var ids []arm.ResourceID
	for n := range 10 {
		ids = append(ids, x.machine(n+1, ""))
		x.submit(ids[n], deskyard.JobPut)
	}
	x.until("nine machines", func() bool {
		ready := 0
		for _, id := range ids {
			if x.state(id) == "Succeeded" {
				ready++
			}
		}
		return ready == 9
	})
	if x.state(ids[3]) != "Creating" {
		t.Errorf("the tenth is %s", x.state(ids[3]))
	}
}

func TestUnreachableHypervisorIsWaitedForWithItsReason(t *testing.T) {
	x := newSite(t)
	x.run()
	id := x.machine(1, "")
	mend := x.hosts[0].Cut()
	x.submit(id, deskyard.JobPut)
	x.until("the reason", func() bool { return strings.Contains(x.reason(id), "host1: it does not answer") })
	if x.state(id) != "Creating" {
		t.Errorf("state %s", x.state(id))
	}
	mend()
	x.s.Wake(deskyard.WorkMachine, id)
	x.until("the machine", func() bool { return x.state(id) == "Succeeded" })
	if m, _ := x.made(); m != 1 || x.reason(id) != "" {
		t.Errorf("%d machines, reason %q", m, x.reason(id))
	}
}

func TestFullHostIsLeftForAnotherAndIsToldWhenThereIsNone(t *testing.T) {
	x := newSite(t, fake.Options{}, fake.Options{MemoryMB: 1 << 20})
	x.run()
	x.hosts[0].Fail(fake.Ensure, "", compute.ErrNoSpace)
	id := x.machine(1, "")
	x.submit(id, deskyard.JobPut)
	x.until("the machine", func() bool { return x.state(id) == "Succeeded" })
	if _, ok := x.hosts[1].Spec(guid(1)); !ok {
		t.Error("it is not on the other host")
	}
	if m, _ := x.made(); m != 1 {
		t.Errorf("%d machines", m)
	}
	x.hosts[1].Fail(fake.Ensure, "", compute.ErrNoSpace)
	id = x.machine(2, "")
	op := x.submit(id, deskyard.JobPut)
	x.until("the failure", func() bool { return x.operation(op).Done() })
	if e := x.operation(op).Error; e == nil || e.Code != "AllocationFailed" || !strings.Contains(e.Message, "host2: it had no room") {
		t.Errorf("told %+v", e)
	}
}

func TestMachineThatCrashesIsToldAndNotStartedAgain(t *testing.T) {
	x := newSite(t)
	x.run()
	id := x.machine(1, "")
	x.submit(id, deskyard.JobPut)
	x.until("the machine", func() bool { return x.state(id) == "Succeeded" })
	if err := x.hosts[0].Crash(guid(1), "qemu was killed"); err != nil {
		t.Fatal(err)
	}
	x.s.Wake(deskyard.WorkMachine, id)
	x.until("the sighting", func() bool { return strings.Contains(x.reason(id), "qemu was killed") })
	l := x.s.Live(t.Context(), id)[id.Key()]
	if l.Power != "stopped" || !strings.Contains(l.Problem, "az vm start") || x.state(id) != "Succeeded" {
		t.Errorf("live %+v, %s", l, x.state(id))
	}
	op := x.submit(id, deskyard.JobStart)
	x.until("the start", func() bool { return x.operation(op).Done() })
	if l := x.s.Live(t.Context(), id)[id.Key()]; l.Power != "running" || x.reason(id) != "" {
		t.Errorf("after start: %+v, %q", l, x.reason(id))
	}
}

func TestMachineLostWhileTheServiceWasDownIsStartedAgain(t *testing.T) {
	x := newSite(t)
	x.run()
	id := x.machine(1, "")
	x.submit(id, deskyard.JobPut)
	x.until("the machine", func() bool { return x.state(id) == "Succeeded" })
	x.halt()
	if err := x.hosts[0].Crash(guid(1), "the host was rebooted"); err != nil {
		t.Fatal(err)
	}
	x.run()
	x.until("its restart", func() bool { return x.s.Live(t.Context(), id)[id.Key()].Power == "running" })
}

func TestPowerVerbsLeaveTheStateThatTheyName(t *testing.T) {
	x := newSite(t)
	x.run()
	id := x.machine(1, `{"additionalCapabilities":{"hibernationEnabled":true}}`)
	x.submit(id, deskyard.JobPut)
	x.until("the machine", func() bool { return x.state(id) == "Succeeded" })
	for _, c := range []struct{ verb, power string }{
		{deskyard.JobPowerOff, "stopped"}, {deskyard.JobStart, "running"}, {deskyard.JobDeallocate, "deallocated"}, {deskyard.JobStart, "running"},
		{deskyard.JobHibernate, "hibernated"}, {deskyard.JobStart, "running"}, {deskyard.JobRestart, "running"},
	} {
		op := x.submit(id, c.verb)
		x.until(c.verb, func() bool { return x.operation(op).Done() })
		if o := x.operation(op); o.Status != "Succeeded" {
			t.Errorf("%s: %+v", c.verb, o.Error)
		}
		if l := x.s.Live(t.Context(), id)[id.Key()]; l.Power != c.power {
			t.Errorf("after %s it is %s: %s", c.verb, l.Power, l.Problem)
		}
	}
}

func TestDeallocatedMachineGivesItsPlaceUpAndIsToldWhenItIsTaken(t *testing.T) {
	x := newSite(t, fake.Options{MemoryMB: 8192})
	x.run()
	first := x.machine(1, "")
	x.submit(first, deskyard.JobPut)
	x.until("the first", func() bool { return x.state(first) == "Succeeded" })
	second := x.machine(2, "")
	op := x.submit(second, deskyard.JobPut)
	x.until("the refusal", func() bool { return x.operation(op).Done() })
	if e := x.operation(op).Error; e == nil || e.Code != "AllocationFailed" || !strings.Contains(e.Message, "host1: 8192 of its 8192 MiB of memory are promised") {
		t.Fatalf("told %+v", e)
	}
	op = x.submit(first, deskyard.JobDeallocate)
	x.until("the deallocation", func() bool { return x.operation(op).Done() })
	op = x.submit(second, deskyard.JobPut)
	x.until("the second", func() bool { return x.operation(op).Done() })
	if x.state(second) != "Succeeded" {
		t.Fatalf("second: %s", x.reason(second))
	}
	op = x.submit(first, deskyard.JobStart)
	x.until("the start", func() bool { return x.operation(op).Done() })
	if e := x.operation(op).Error; e == nil || e.Code != "AllocationFailed" {
		t.Errorf("started without a place: %+v", e)
	}
}

func TestRefusedAdministratorFailsTheMachineInTheGuestsWords(t *testing.T) {
	x := newSite(t)
	x.guests.refuse[deskyard.StepAdmin] = deskyard.StepResult{Code: "InvalidAdmin", Message: "The name keeper is taken."}
	x.run()
	id := x.machine(1, "")
	op := x.submit(id, deskyard.JobPut)
	x.until("the failure", func() bool { return x.operation(op).Done() })
	if e := x.operation(op).Error; e == nil || !strings.Contains(e.Message, "The name keeper is taken.") || x.state(id) != "Failed" {
		t.Errorf("told %+v", e)
	}
}

func TestSetIsSpreadOverHosts(t *testing.T) {
	x := newSite(t, fake.Options{}, fake.Options{}, fake.Options{})
	x.run()
	set := group.Provider("Microsoft.Compute", "availabilitySets", "set")
	x.put(set, `{}`, "eastus")
	for n := range 6 {
		id := x.machine(n+1, fmt.Sprintf(`{"availabilitySet":{"id":%q}}`, set))
		x.submit(id, deskyard.JobPut)
		x.until("the machine", func() bool { return x.state(id) == "Succeeded" })
	}
	for i, d := range x.hosts {
		list, err := d.Inventory(t.Context(), x.opt.Owner)
		if err != nil || len(list) != 4 { // two machines with their disks
			t.Errorf("host%d has %d pieces, %v", i+1, len(list), err)
		}
	}
}

func TestChangedSecurityGroupIsAppliedToTheRunningMachine(t *testing.T) {
	x := newSite(t)
	x.run()
	id := x.machine(1, "")
	op := x.submit(id, deskyard.JobPut)
	x.until("the machine", func() bool { return x.operation(op).Done() })
	nsg := group.Provider("Microsoft.Network", "networkSecurityGroups", "guard")
	x.put(nsg, `{"securityRules":[{"name":"no","properties":{"priority":100,"direction":"Outbound","access":"Deny","protocol":"*","sourceAddressPrefix":"*","destinationAddressPrefix":"*","destinationPortRange":"25"}}]}`, "eastus")
	x.write(func(ctx context.Context, tx deskyard.Tx) error {
		nic, err := tx.Resource(ctx, nicID("sh-1"))
		if err != nil {
			return err
		}
		nic.Properties = []byte(strings.Replace(string(nic.Properties), "{", fmt.Sprintf(`{"networkSecurityGroup":{"id":%q},`, nsg), 1))
		_, err = tx.PutResource(ctx, nic)
		return err
	})
	calls := x.hosts[0].Calls(fake.Filter)
	x.s.Wake(deskyard.WorkMachine, id)
	x.until("the filter", func() bool { return x.hosts[0].Calls(fake.Filter) > calls })
	if err := x.s.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	calls = x.hosts[0].Calls(fake.Filter)
	x.s.Wake(deskyard.WorkMachine, id)
	if err := x.s.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if x.hosts[0].Calls(fake.Filter) != calls {
		t.Error("rules that did not change are set again and again")
	}
}
