package provision_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/compute"
)

func TestOrphansAreFoundBothWaysAndCleanedWhenTheyAreOurs(t *testing.T) {
	x := newSite(t)
	x.run()
	kept, lost := x.machine(1, ""), x.machine(2, "")
	for _, id := range []struct{ op string }{{x.submit(kept, deskyard.JobPut)}, {x.submit(lost, deskyard.JobPut)}} {
		x.until("the machines", func() bool { return x.operation(id.op).Done() })
	}
	if list, err := x.s.Orphans(t.Context()); err != nil || len(list) != 0 {
		t.Fatalf("orphans of a healthy installation: %+v, %v", list, err)
	}
	stray := compute.Spec{ID: guid(9), Owner: x.opt.Owner, Name: "stray", CPUs: 1, MemoryMB: 512, Image: debian.Image}
	foreign := stray
	foreign.ID, foreign.Owner = guid(10), "somebody-else"
	for _, s := range []compute.Spec{stray, foreign} {
		if err := x.hosts[0].Ensure(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	x.hosts[0].Vanish(guid(2))
	x.put(nicID("old"), `{"virtualMachine":{"id":"/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/gone"},"ipConfigurations":[]}`, "eastus")
	list, err := x.s.Orphans(t.Context())
	kinds := map[string]int{}
	for _, o := range list {
		kinds[o.Kind]++
		if o.Command == "" || o.Reason == "" {
			t.Errorf("says too little: %+v", o)
		}
	}
	if err != nil || kinds["machine"] != 1 || kinds["disk"] != 1 || kinds["row"] != 1 || kinds["interface"] != 1 || len(list) != 4 {
		t.Fatalf("found %+v, %v", list, err)
	}
	left, err := x.s.CleanOrphans(t.Context())
	if err != nil || len(left) != 1 || left[0].Kind != "row" {
		t.Fatalf("left %+v, %v", left, err)
	}
	if _, ok := x.hosts[0].Spec(guid(9)); ok {
		t.Error("the stray machine is still there")
	}
	for _, n := range []int{1, 10} {
		if _, ok := x.hosts[0].Spec(guid(n)); !ok {
			t.Errorf("machine %d was removed, and it is nobody's to remove", n)
		}
	}
	mend := x.hosts[0].Cut()
	defer mend()
	if list, err := x.s.Orphans(t.Context()); err != nil || list[0].Kind != "hypervisor" {
		t.Errorf("an unreachable hypervisor passes for an empty one: %+v, %v", list, err)
	}
}

func TestGroupGoesAfterItsMachines(t *testing.T) {
	x := newSite(t)
	api := &deletingAPI{store: x.store}
	x.opt.Resources = api
	x.run()
	a, b := x.machine(1, ""), x.machine(2, "")
	opA, opB := x.submit(a, deskyard.JobPut), x.submit(b, deskyard.JobPut)
	x.until("the machines", func() bool { return x.operation(opA).Done() && x.operation(opB).Done() })
	api.check = func() {
		if m, items := x.made(); m+items != 0 {
			t.Errorf("the group is deleted while %d machines stand", m)
		}
	}
	op := ""
	x.write(func(ctx context.Context, tx deskyard.Tx) error {
		o, err := x.s.Submit(ctx, tx, deskyard.Job{Kind: "group", Verb: deskyard.JobDelete, ID: group})
		op = o.ID
		return err
	})
	x.s.Wake("group", group)
	x.until("its end", func() bool { return x.operation(op).Done() })
	if x.properties(group) != nil || x.properties(a) != nil {
		t.Error("the group or a machine is left")
	}
	x.until("no work", func() bool {
		left, err := x.store.Works(context.Background(), deskyard.WorkQuery{})
		return err == nil && len(left.Items) == 0
	})
}

func TestMachineRecordsWhichVersionLatestWas(t *testing.T) {
	x := newSite(t)
	x.run()
	id := x.machine(1, "")
	op := x.submit(id, deskyard.JobPut)
	x.until("the machine", func() bool { return x.operation(op).Done() })
	b, err := json.Marshal(x.properties(id)["storageProfile"])
	var p struct {
		Image deskyard.ImageReference `json:"imageReference"`
	}
	if err != nil || json.Unmarshal(b, &p) != nil || p.Image.Exact != "1" || p.Image.Version != "latest" {
		t.Errorf("recorded %+v, %v", p.Image, err)
	}
}
