package provision_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/broker"
	"github.com/deskyard/deskyard/connect"
	"github.com/deskyard/deskyard/reverse"
)

// agents are the agents in the site's machines: up while these run.
type agents struct{ x *site }

func (a agents) Lease(id string) deskyard.Lease {
	host, err := a.x.store.SessionHostByObjectID(context.Background(), id)
	if err != nil {
		return deskyard.Lease{}
	}
	vm := arm.MustParseID(host.ResourceID)
	if a.x.s.Live(context.Background(), vm)[vm.Key()].Power != "running" {
		return deskyard.Lease{}
	}
	return deskyard.Lease{Connected: true, Heartbeat: time.Now()}
}

func (a agents) Report(string) (deskyard.HostReport, bool) {
	return deskyard.HostReport{SessionsKnown: true, Checks: []deskyard.HealthCheck{{Name: deskyard.CheckSxSListener, Result: deskyard.CheckSucceeded}}}, true
}

func (agents) Metrics(string) (deskyard.HostMetrics, bool) { return deskyard.HostMetrics{}, false }
func (agents) Drop(string, string)                         {}
func (agents) Do(context.Context, string, deskyard.Command) error {
	return deskyard.ErrHostUnreachable
}

func (agents) Dial(context.Context, string, reverse.DialBack) (reverse.Dialled, error) {
	return reverse.Dialled{}, deskyard.ErrHostUnreachable
}

// anyone may open anything.
type anyone struct{}

func (anyone) AllowData(context.Context, deskyard.Principal, string, arm.ResourceID) error {
	return nil
}

func (anyone) Principal(_ context.Context, name string) (deskyard.Principal, error) {
	return deskyard.Principal{ObjectID: name, Name: name, Kind: "User"}, nil
}

func TestAUserWakesTheMachineOfAPoolThatStartsOnConnect(t *testing.T) {
	x := newSite(t)
	x.run()
	vm := x.machine(1, "")
	x.submit(vm, deskyard.JobPut)
	x.until("the machine", func() bool { return x.state(vm) == "Succeeded" })

	const space = "Microsoft.DesktopVirtualization"
	pool := group.Provider(space, "hostPools", "hp")
	on := true
	p := &deskyard.HostPool{HostPoolType: "Pooled", LoadBalancerType: "BreadthFirst", PreferredAppGroupType: "Desktop", StartVMOnConnect: &on}
	p.Default(nil)
	properties, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	x.put(pool, string(properties), "eastus")
	dag := group.Provider(space, "applicationGroups", "dag")
	x.put(dag, `{"applicationGroupType":"Desktop","hostPoolArmPath":"`+pool.String()+`"}`, "eastus")
	desktop := dag.Child("desktops", deskyard.SessionDesktop)
	x.put(desktop, `{}`, "")
	x.write(func(ctx context.Context, tx deskyard.Tx) error {
		_, err := tx.PutSessionHost(ctx, deskyard.SessionHost{ID: pool.Child("sessionHosts", "sh-1"), ObjectID: guid(77), AllowNewSession: true, ResourceID: vm.String()})
		return err
	})
	s, err := connect.New(connect.Options{Store: x.store, Fleet: agents{x}, Dialer: agents{x}, Access: anyone{}, People: anyone{}, Machines: x.s,
		Key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{5}, ed25519.SeedSize)), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	ann := deskyard.Principal{ObjectID: "ann", Name: "ann@example.org"}
	if _, err := s.Connect(t.Context(), ann, desktop, connect.Ask{}); err != nil {
		t.Fatalf("to a running machine: %v", err)
	}
	op := x.submit(vm, deskyard.JobDeallocate)
	x.until("the deallocation", func() bool { return x.operation(op).Done() })

	_, err = s.Connect(t.Context(), deskyard.Principal{ObjectID: "bob", Name: "bob@example.org"}, desktop, connect.Ask{})
	var f *deskyard.ConnectionFailure
	if !errors.As(err, &f) || f.Symbol != broker.Deallocated || f.Retry == 0 {
		t.Fatalf("to a deallocated machine: %v", err)
	}
	x.until("the machine that bob waits for", func() bool { return agents{x}.Lease(guid(77)).Connected })
	started, err := s.Connect(t.Context(), deskyard.Principal{ObjectID: "bob", Name: "bob@example.org"}, desktop, connect.Ask{})
	if err != nil || started.Host != "sh-1" {
		t.Fatalf("to the machine that was started: %s, %v", started.Host, err)
	}
}
