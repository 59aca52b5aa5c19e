package provision_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/fake"
	"github.com/deskyard/deskyard/provision"
	"github.com/deskyard/deskyard/seal"
	"github.com/deskyard/deskyard/sqlstore"
)

// guests are the boot loaders inside the machines of a fake host, and the door that
// the service reaches them through: a guest enrols with the invitation that its
// machine was given, once.
type guests struct {
	mu       sync.Mutex // guards what follows
	tokens   map[string]string
	up       map[string]bool
	steps    map[string]int // runs, by step id
	did      []deskyard.Step
	metadata map[string]json.RawMessage
	forgot   map[string]bool
	invited  int
	refuse   map[string]deskyard.StepResult // by kind of step
	silent   func(name string) bool         // machines whose guest never comes
}

func newGuests() *guests {
	return &guests{tokens: map[string]string{}, up: map[string]bool{}, steps: map[string]int{}, metadata: map[string]json.RawMessage{},
		forgot: map[string]bool{}, refuse: map[string]deskyard.StepResult{}, silent: func(string) bool { return false }}
}

// boot is what runs in a fake machine.
func (g *guests) boot(ctx context.Context, m *fake.Machine) {
	spec := m.Spec()
	m.Print("booting " + spec.Name + "\n")
	if !g.silent(spec.Name) {
		g.enrol(spec)
	} else {
		m.Print("no network\n")
	}
	defer g.leave(spec.ID)
	select {
	case <-m.Button():
		m.PowerOff()
	case <-ctx.Done():
	}
}

func (g *guests) enrol(spec compute.Spec) {
	var i deskyard.Invitation
	if err := json.Unmarshal(spec.Seed.Credentials["deskyard.invitation"], &i); err != nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.tokens[spec.ID] == i.Token && !g.forgot[spec.ID] {
		g.up[spec.ID] = true
	}
}

func (g *guests) leave(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.up, id)
}

func (g *guests) Invite(ctx context.Context, tx deskyard.Tx, vm arm.ResourceID, id string, life time.Duration) (deskyard.Invitation, error) {
	g.mu.Lock()
	g.invited++
	i := deskyard.Invitation{MachineID: id, Token: fmt.Sprint("token-", g.invited), URLs: []string{"https://service.test:8443"}, Expires: time.Now().Add(life)}
	g.tokens[id] = i.Token
	g.mu.Unlock()
	old, err := tx.Guest(ctx, id)
	if err != nil {
		old = deskyard.Guest{MachineID: id}
	}
	old.VM, old.TokenExpires = vm, i.Expires
	_, err = tx.PutGuest(ctx, old)
	return i, err
}

func (g *guests) Connected(id string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.up[id]
}

func (g *guests) Do(_ context.Context, id string, s deskyard.Step) (deskyard.StepResult, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.up[id] {
		return deskyard.StepResult{}, deskyard.ErrGuestUnreachable
	}
	if r, ok := g.refuse[s.Kind]; ok {
		r.ID, r.State = s.ID, deskyard.StepFailed
		return r, nil
	}
	if g.steps[s.ID]++; g.steps[s.ID] == 1 {
		g.did = append(g.did, s)
	}
	return deskyard.StepResult{ID: s.ID, State: deskyard.StepSucceeded}, nil
}

func (g *guests) Describe(id string, doc json.RawMessage) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.metadata[id] = doc
}

func (g *guests) Forget(id, _ string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forgot[id] = true
	delete(g.up, id)
}

// oneImage is a catalogue with one image.
type oneImage struct{ compute.Image }

func (i oneImage) Resolve(_ context.Context, _ string, ref deskyard.ImageReference) (compute.Image, error) {
	if ref.Offer == "missing" {
		return compute.Image{}, arm.Errorf(arm.Invalid, "PlatformImageNotFound", "The platform image '%s' is not available.", ref.Offer)
	}
	return i.Image, nil
}

var debian = oneImage{compute.Image{ID: "deskyard:debian:12:1", Path: "debian", Format: "qcow2", VirtualBytes: 4 << 30, OS: "linux", Firmware: "uefi", Provisioning: "deskyard"}}

// site is a service with its store, one hypervisor or more, and guests.
type site struct {
	t      testing.TB
	store  deskyard.Store
	guests *guests
	hosts  []*fake.Driver
	opt    provision.Options
	seal   *seal.Sealer
	ahead  atomic.Int64 // of the clock on the wall, in nanoseconds

	s    *provision.Service
	stop func()
}

var group = arm.ResourceID{Subscription: "00000000-0000-4000-8000-000000000001", ResourceGroup: "rg"}

func newSite(t testing.TB, hosts ...fake.Options) *site {
	t.Helper()
	if len(hosts) == 0 {
		hosts = []fake.Options{{}}
	}
	db, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: "sqlite:" + filepath.Join(t.TempDir(), "t.db"), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	box, err := seal.New(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	x := &site{t: t, store: db, guests: newGuests(), seal: box}
	x.opt = provision.Options{Now: func() time.Time { return time.Now().Add(time.Duration(x.ahead.Load())) }, Store: db, Seal: box, Owner: "6a6f1c9e-0000-4000-8000-00000000000a", Guests: x.guests, Images: debian, Log: quiet()}
	for i, o := range hosts {
		o.Guest = x.guests.boot
		o.Host = fmt.Sprint("host", i+1)
		d := fake.New(o)
		x.hosts = append(x.hosts, d)
		x.opt.Hypervisors = append(x.opt.Hypervisors, provision.Hypervisor{Name: o.Host, Driver: d, Zone: fmt.Sprint(i + 1)})
	}
	t.Cleanup(func() {
		x.halt()
		for _, d := range x.hosts {
			d.Close()
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	x.put(group, `{}`, "eastus")
	x.put(group.Provider("Microsoft.Network", "virtualNetworks", "net"), `{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]}}`, "eastus")
	x.put(group.Provider("Microsoft.Network", "virtualNetworks", "net").Child("subnets", "desks"), `{"addressPrefix":"10.0.2.0/23"}`, "")
	return x
}

// quiet logs to nowhere, unless somebody looks for a fault.
func quiet() *slog.Logger {
	if os.Getenv("DESKYARD_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

// run starts the service anew, as after a kill.
func (x *site) run() *provision.Service {
	x.t.Helper()
	x.halt()
	s, err := provision.New(x.opt)
	if err != nil {
		x.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	x.s, x.stop = s, func() { cancel(); wg.Wait() }
	return s
}

func (x *site) halt() {
	if x.stop != nil {
		x.stop()
		x.stop = nil
	}
}

func (x *site) write(f func(ctx context.Context, tx deskyard.Tx) error) {
	x.t.Helper()
	if err := x.store.Write(context.Background(), f); err != nil {
		x.t.Fatal(err)
	}
}

func (x *site) put(id arm.ResourceID, properties, location string) {
	x.t.Helper()
	x.write(func(ctx context.Context, tx deskyard.Tx) error {
		_, err := tx.PutResource(ctx, deskyard.Resource{ID: id, Properties: json.RawMessage(properties),
			Envelope: arm.Envelope{Location: location, Tags: map[string]string{"team": "blue"}}})
		return err
	})
}

func vmID(name string) arm.ResourceID {
	return group.Provider("Microsoft.Compute", "virtualMachines", name)
}

func nicID(name string) arm.ResourceID {
	return group.Provider("Microsoft.Network", "networkInterfaces", name+"-nic")
}

func guid(n int) string { return fmt.Sprintf("6a6f1c9e-0000-4000-8000-%012d", n) }

// machine is a virtual machine's row with its interface; more is laid over its properties.
func (x *site) machine(n int, more string) arm.ResourceID {
	x.t.Helper()
	name := fmt.Sprint("sh-", n)
	subnet := group.Provider("Microsoft.Network", "virtualNetworks", "net").Child("subnets", "desks")
	x.put(nicID(name), fmt.Sprintf(`{"macAddress":"02:00:00:00:%02x:%02x","ipConfigurations":[{"name":"a","properties":{"privateIPAddress":"10.0.%d.%d","subnet":{"id":%q}}}]}`,
		n>>8, n&255, 2+n/250, 4+n%250, subnet), "eastus")
	p := map[string]any{}
	base := fmt.Sprintf(`{"vmId":%q,"provisioningState":"Creating","hardwareProfile":{"vmSize":"Standard_D2s_v3"},
		"storageProfile":{"imageReference":{"publisher":"deskyard","offer":"debian","sku":"12","version":"latest"},"osDisk":{"diskSizeGB":8,"deleteOption":"Delete"}},
		"osProfile":{"computerName":%q,"adminUsername":"keeper"},
		"networkProfile":{"networkInterfaces":[{"id":%q,"properties":{"deleteOption":"Delete"}}]}}`, guid(n), name, nicID(name))
	for _, text := range []string{base, more} {
		if text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			x.t.Fatal(err)
		}
	}
	b, err := json.Marshal(p)
	if err != nil {
		x.t.Fatal(err)
	}
	x.put(vmID(name), string(b), "eastus")
	return vmID(name)
}

// submit asks for work and gives the operation's id.
func (x *site) submit(id arm.ResourceID, verb string) string {
	x.t.Helper()
	op := ""
	x.write(func(ctx context.Context, tx deskyard.Tx) error {
		j := deskyard.Job{Kind: deskyard.WorkMachine, Verb: verb, ID: id}
		if verb == deskyard.JobPut {
			j.Secrets = json.RawMessage(`{"adminPassword":"Correct-Horse-9"}`)
		}
		o, err := x.s.Submit(ctx, tx, j)
		op = o.ID
		return err
	})
	x.s.Wake(deskyard.WorkMachine, id)
	return op
}

// properties is the row's; nil when it is gone.
func (x *site) properties(id arm.ResourceID) map[string]any {
	x.t.Helper()
	r, err := x.store.Resource(context.Background(), id)
	if isMissing(err) {
		return nil
	}
	var p map[string]any
	if err == nil {
		err = json.Unmarshal(r.Properties, &p)
	}
	if err != nil {
		x.t.Fatal(err)
	}
	return p
}

// until waits for something that the service does by itself.
func (x *site) until(what string, done func() bool) {
	x.t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			x.t.Fatalf("waited too long for: %s", what)
		}
	}
}

func (x *site) state(id arm.ResourceID) string {
	s, _ := x.properties(id)["provisioningState"].(string)
	return s
}

func (x *site) reason(id arm.ResourceID) string {
	s, _ := x.properties(id)["statusReason"].(string)
	return s
}

func (x *site) operation(id string) deskyard.Operation {
	x.t.Helper()
	op, err := x.store.Operation(context.Background(), id)
	if err != nil {
		x.t.Fatal(err)
	}
	return op
}

// made counts the machines on all hosts, and the pieces of them.
func (x *site) made() (machines, items int) {
	x.t.Helper()
	for _, d := range x.hosts {
		list, err := d.Inventory(context.Background(), x.opt.Owner)
		if err != nil {
			x.t.Fatal(err)
		}
		for _, i := range list {
			items++
			if i.Kind == "machine" {
				machines++
			}
		}
	}
	return machines, items
}

func isMissing(err error) bool {
	e, ok := err.(*arm.Error)
	return ok && e.Kind == arm.Missing
}
