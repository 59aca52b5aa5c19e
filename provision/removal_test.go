package provision_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/provision"
)

// deletingAPI is the management API as removals use it: machines by their work,
// everything else at once.
type deletingAPI struct {
	store deskyard.Store
	s     func() *provision.Service
	check func() // runs before a group is deleted

	mu      sync.Mutex // guards deleted
	deleted []string
}

func (a *deletingAPI) Knows(string) ([]string, bool) { return []string{"2024-01-01"}, true }

func (a *deletingAPI) Do(ctx context.Context, c provision.Call) (provision.Reply, error) {
	if c.Method != http.MethodDelete {
		return provision.Reply{}, fmt.Errorf("%s is not expected here", c.Method)
	}
	if a.check != nil {
		a.check()
	}
	a.mu.Lock()
	a.deleted = append(a.deleted, c.ID.Name())
	a.mu.Unlock()
	machine := strings.EqualFold(c.ID.Type(), "Microsoft.Compute/virtualMachines")
	err := a.store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		if _, err := tx.Resource(ctx, c.ID); err != nil {
			return err
		}
		if machine {
			_, err := a.s().Submit(ctx, tx, deskyard.Job{Kind: deskyard.WorkMachine, Verb: deskyard.JobDelete, ID: c.ID})
			return err
		}
		return tx.DeleteResource(ctx, c.ID)
	})
	if err == nil && machine {
		a.s().Wake(deskyard.WorkMachine, c.ID)
	}
	return provision.Reply{Status: http.StatusAccepted}, err
}

// fleet is the hosts' agents: sessions that end when they are told to.
type fleet struct {
	mu       sync.Mutex // guards what follows
	dead     bool
	sessions []deskyard.UserSession
	verbs    []string
	said     string // the last message
	dropped  []string
}

func (f *fleet) Lease(string) deskyard.Lease {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return deskyard.Lease{}
	}
	return deskyard.Lease{Connected: true, Heartbeat: time.Now()}
}

func (f *fleet) Report(string) (deskyard.HostReport, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return deskyard.HostReport{Sessions: append([]deskyard.UserSession(nil), f.sessions...), SessionsKnown: true}, true
}

func (f *fleet) Metrics(string) (deskyard.HostMetrics, bool) { return deskyard.HostMetrics{}, false }

func (f *fleet) Do(_ context.Context, _ string, c deskyard.Command) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.verbs = append(f.verbs, c.Verb)
	if c.Verb == "message" {
		f.said = c.Body
	}
	if c.Verb == "logoff" {
		f.sessions = nil
	}
	return nil
}

func (f *fleet) Drop(id, _ string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dropped = append(f.dropped, id)
}

var pool = group.Provider("Microsoft.DesktopVirtualization", "hostPools", "desks")

// hosted is a site with a machine that is a session host.
func hosted(t *testing.T) (*site, *deletingAPI, *fleet, arm.ResourceID) {
	x := newSite(t)
	api, agents := &deletingAPI{store: x.store, s: func() *provision.Service { return x.s }}, &fleet{}
	x.opt.Resources, x.opt.Fleet = api, agents
	x.run()
	x.put(pool, `{"objectId":"pool-object","hostPoolType":"Pooled","loadBalancerType":"BreadthFirst"}`, "eastus")
	vm := x.machine(1, "")
	nsg := group.Provider("Microsoft.Network", "networkSecurityGroups", "sh-1-nsg")
	x.put(nsg, `{"securityRules":[]}`, "eastus")
	x.write(func(ctx context.Context, tx deskyard.Tx) error {
		nic, err := tx.Resource(ctx, nicID("sh-1"))
		if err != nil {
			return err
		}
		nic.Properties = []byte(strings.Replace(string(nic.Properties), "{", fmt.Sprintf(`{"networkSecurityGroup":{"id":%q},`, nsg), 1))
		_, err = tx.PutResource(ctx, nic)
		return err
	})
	op := x.submit(vm, deskyard.JobPut)
	x.until("the machine", func() bool { return x.operation(op).Done() })
	host := pool.Child("sessionHosts", "sh-1")
	x.write(func(ctx context.Context, tx deskyard.Tx) error {
		_, err := tx.PutSessionHost(ctx, deskyard.SessionHost{ID: host, ObjectID: "host-object", Pool: "pool-object", AllowNewSession: true,
			ResourceID: vm.String(), VirtualMachineID: guid(1), Machine: deskyard.Machine{Hostname: "sh-1", OS: "linux", Arch: "amd64", MachineID: "m"}})
		return err
	})
	return x, api, agents, host
}

func (x *site) remove(r provision.RemovalRequest) string {
	x.t.Helper()
	op := ""
	x.write(func(ctx context.Context, tx deskyard.Tx) error {
		o, err := x.s.RemoveSessionHost(ctx, tx, r)
		op = o.ID
		return err
	})
	x.s.Wake(deskyard.WorkRemoval, r.Host)
	return op
}

func TestRemovedHostLeavesNothing(t *testing.T) {
	x, api, agents, host := hosted(t)
	agents.sessions = []deskyard.UserSession{{ID: 1, Native: "c1", User: "ann"}}
	op := x.remove(provision.RemovalRequest{Host: host, DeleteMachine: true, Force: true})
	x.until("the removal", func() bool {
		x.s.Wake(deskyard.WorkRemoval, host)
		return x.operation(op).Done()
	})
	if o := x.operation(op); o.Status != "Succeeded" || !strings.Contains(string(o.Result), `"leaveDirectory","state":"Succeeded"`) {
		t.Errorf("ended as %s: %s", o.Status, o.Result)
	}
	if m, items := x.made(); m+items != 0 {
		t.Errorf("%d machines, %d pieces left", m, items)
	}
	for _, id := range []arm.ResourceID{vmID("sh-1"), nicID("sh-1"), group.Provider("Microsoft.Network", "networkSecurityGroups", "sh-1-nsg")} {
		if x.properties(id) != nil {
			t.Errorf("%s is left", id.Name())
		}
	}
	if _, err := x.store.SessionHost(t.Context(), host); !isMissing(err) {
		t.Errorf("the record is left: %v", err)
	}
	if len(agents.dropped) != 1 || agents.dropped[0] != "host-object" || strings.Join(agents.verbs, " ") != "logoff" {
		t.Errorf("agents were told %v, links ended: %v", agents.verbs, agents.dropped)
	}
	if api.deleted[0] != "sh-1" {
		t.Errorf("deleted %v", api.deleted)
	}
}

func TestUsersAreToldAndGivenTheirTimeBeforeTheyAreSignedOut(t *testing.T) {
	x, _, agents, host := hosted(t)
	agents.sessions = []deskyard.UserSession{{ID: 1, Native: "c1", User: "ann"}}
	op := x.remove(provision.RemovalRequest{Host: host, DeleteMachine: true, Grace: time.Hour})
	x.until("the message", func() bool {
		x.s.Wake(deskyard.WorkRemoval, host)
		agents.mu.Lock()
		defer agents.mu.Unlock()
		return len(agents.verbs) > 0
	})
	if err := x.s.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if agents.verbs[0] != "message" || len(agents.verbs) != 1 || x.operation(op).Done() {
		t.Errorf("told %v", agents.verbs)
	}
	if !strings.Contains(agents.said, "out of service in 60 minutes.") {
		t.Errorf("said %q", agents.said)
	}
	if h, err := x.store.SessionHost(t.Context(), host); err != nil || h.AllowNewSession {
		t.Errorf("the host is not drained: %v", err)
	}
	agents.mu.Lock()
	agents.sessions = nil // she signs out by herself
	agents.mu.Unlock()
	x.until("the removal", func() bool {
		x.s.Wake(deskyard.WorkRemoval, host)
		return x.operation(op).Done()
	})
}

// After a restart of the service no host has its link at once.
func TestAHostWhoseLinkComesBackIsRemovedAsItWasAskedFor(t *testing.T) {
	x, _, agents, host := hosted(t)
	agents.sessions = []deskyard.UserSession{{ID: 1, Native: "c1", User: "ann"}}
	agents.dead = true
	op := x.remove(provision.RemovalRequest{Host: host, DeleteMachine: true, Grace: time.Hour})
	x.until("what is waited for", func() bool { return strings.Contains(string(x.operation(op).Result), "it is waited for until") })
	agents.mu.Lock()
	agents.dead = false
	agents.mu.Unlock()
	x.until("the message", func() bool {
		x.s.Wake(deskyard.WorkRemoval, host)
		agents.mu.Lock()
		defer agents.mu.Unlock()
		return agents.said != "" && !strings.Contains(string(x.operation(op).Result), "waited for")
	})
	agents.mu.Lock()
	agents.sessions = nil
	agents.mu.Unlock()
	x.until("the removal", func() bool {
		x.s.Wake(deskyard.WorkRemoval, host)
		return x.operation(op).Done()
	})
	if o := x.operation(op); o.Status != "Succeeded" {
		t.Errorf("ended as %s: %+v", o.Status, o.Error)
	}
}

func TestDeadMachineIsRemovedOnlyByForceWhichSaysWhatItSkipped(t *testing.T) {
	x, _, agents, host := hosted(t)
	agents.dead = true
	if err := x.hosts[0].Crash(guid(1), "power failed"); err != nil {
		t.Fatal(err)
	}
	op := x.remove(provision.RemovalRequest{Host: host, DeleteMachine: true})
	x.until("what is waited for", func() bool { return strings.Contains(string(x.operation(op).Result), "it is waited for until") })
	x.ahead.Store(int64(80 * time.Second))
	x.until("the refusal", func() bool {
		x.s.Wake(deskyard.WorkRemoval, host)
		return x.operation(op).Done()
	})
	if e := x.operation(op).Error; e == nil || e.Code != "SessionHostUnreachable" || !strings.Contains(e.Message, "force") {
		t.Fatalf("told %+v", e)
	}
	op = x.remove(provision.RemovalRequest{Host: host, DeleteMachine: true, Force: true})
	x.until("the removal", func() bool { return x.operation(op).Done() })
	if o := x.operation(op); o.Status != "Succeeded" || !strings.Contains(string(o.Result), `"leaveDirectory","state":"Skipped"`) {
		t.Errorf("ended as %s: %s", o.Status, o.Result)
	}
	if m, items := x.made(); m+items != 0 {
		t.Errorf("%d machines, %d pieces left", m, items)
	}
}

func TestReplacedHostKeepsItsUserAndGetsAnotherMachine(t *testing.T) {
	x, _, agents, host := hosted(t)
	x.write(func(ctx context.Context, tx deskyard.Tx) error {
		h, err := tx.SessionHost(ctx, host)
		if err != nil {
			return err
		}
		h.AssignedUser, h.FriendlyName = "ann@corp.example", "Ann's desk"
		_, err = tx.PutSessionHost(ctx, h)
		return err
	})
	first := x.guests.invited
	op := x.remove(provision.RemovalRequest{Host: host, Force: true, Replace: true})
	x.until("the machine made anew", func() bool {
		x.s.Wake(deskyard.WorkRemoval, host)
		return strings.Contains(string(x.operation(op).Result), `"newMachine","state":"Succeeded"`)
	})
	if x.guests.invited != first+1 || x.state(vmID("sh-1")) != "Succeeded" {
		t.Errorf("invited %d times more, %s", x.guests.invited-first, x.state(vmID("sh-1")))
	}
	if m, _ := x.made(); m != 1 || x.operation(op).Done() {
		t.Errorf("%d machines, operation %+v", m, x.operation(op))
	}
	x.write(func(ctx context.Context, tx deskyard.Tx) error { // the new agent registers
		_, err := tx.PutSessionHost(ctx, deskyard.SessionHost{ID: host, ObjectID: "new-object", Pool: "pool-object", VirtualMachineID: guid(1), ResourceID: vmID("sh-1").String()})
		return err
	})
	x.until("the end", func() bool {
		x.s.Wake(deskyard.WorkRemoval, host)
		return x.operation(op).Done()
	})
	h, err := x.store.SessionHost(t.Context(), host)
	if err != nil || h.AssignedUser != "ann@corp.example" || h.FriendlyName != "Ann's desk" || !h.AllowNewSession {
		t.Errorf("the new host: %+v, %v", h, err)
	}
	if len(agents.dropped) != 1 || agents.dropped[0] != "host-object" {
		t.Errorf("links ended: %v", agents.dropped)
	}
}

// singleUse renders a key with the one host that it is for.
type singleUse struct{}

func (singleUse) Registration(k deskyard.RegistrationKey) (string, error) {
	return "new-key-for-" + k.Limits.SingleHost, nil
}

func TestReplacedHostsExtensionsRunWithAKeyForItAlone(t *testing.T) {
	x, _, _, host := hosted(t)
	x.opt.Tokens = singleUse{}
	x.run()
	vm := vmID("sh-1")
	extensions := map[string][2]string{
		"dsc": {`{"publisher":"Microsoft.Powershell","type":"DSC","settings":{"configurationFunction":"Configuration.ps1\\AddSessionHost"}}`, `{"registrationInfoToken":"old-key"}`},
		"hci": {`{"publisher":"Microsoft.Compute","type":"CustomScriptExtension","settings":{"fileUris":["https://x.example/HciCustomScript.ps1"]}}`,
			`{"commandToExecute":"powershell -File HciCustomScript.ps1 -RegistrationInfoToken old-key -HostPoolName hp1"}`},
	}
	for name, e := range extensions {
		x.ended(x.extension(vm.Child("extensions", name), e[0], e[1]), "Succeeded")
	}
	op := x.remove(provision.RemovalRequest{Host: host, Force: true, Replace: true})
	x.until("the extensions in the new machine", func() bool {
		x.s.Wake(deskyard.WorkRemoval, host)
		return x.ran(deskyard.StepAgent) == 4 || x.operation(op).Done()
	})
	x.guests.mu.Lock()
	defer x.guests.mu.Unlock()
	keys := map[string]int{}
	for _, s := range x.guests.did {
		if s.Kind == deskyard.StepAgent {
			keys[string(s.Secrets)]++
		}
	}
	if keys[`{"registrationInfoToken":"old-key"}`] != 2 || keys[`{"registrationInfoToken":"new-key-for-sh-1"}`] != 2 {
		t.Errorf("the agent was installed with %v", keys)
	}
}

// TestRemovalKilledBehindEveryStepEndsWithNothingLeft kills the service behind each
// write and driver call of a removal.
func TestRemovalKilledBehindEveryStepEndsWithNothingLeft(t *testing.T) {
	n := int64(1)
	for ; removalKilledAt(t, n); n++ {
	}
	if n < 12 {
		t.Errorf("only %d places to be killed at", n)
	}
}

func removalKilledAt(t *testing.T, n int64) (killed bool) {
	x, _, _, host := hosted(t)
	x.halt()
	k := &killing{}
	k.left.Store(n)
	x.opt.Store = killingStore{x.store, k}
	x.opt.Hypervisors[0].Driver = killingDriver{x.hosts[0], k}
	run := func() <-chan struct{} {
		x.run()
		ctx, cancel := context.WithCancel(context.Background())
		dead := context.CancelFunc(cancel)
		k.kill.Store(&dead)
		return ctx.Done()
	}
	dead := run()
	op := x.remove(provision.RemovalRequest{Host: host, DeleteMachine: true, Force: true})
	k.armed.Store(true)
	x.until(fmt.Sprintf("the removal killed at %d", n), func() bool {
		select {
		case <-dead:
			killed = true
			k.armed.Store(false)
			dead = run()
		default:
		}
		x.s.Wake(deskyard.WorkRemoval, host)
		return x.operation(op).Done()
	})
	if o := x.operation(op); o.Status != "Succeeded" {
		t.Fatalf("killed at %d: %+v", n, o.Error)
	}
	if m, items := x.made(); m+items != 0 || x.properties(vmID("sh-1")) != nil || x.properties(nicID("sh-1")) != nil {
		t.Fatalf("killed at %d: %d machines and %d pieces left", n, m, items)
	}
	if _, err := x.store.SessionHost(t.Context(), host); !isMissing(err) {
		t.Fatalf("killed at %d: the record is left: %v", n, err)
	}
	x.halt()
	return killed
}
