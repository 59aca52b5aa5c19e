package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// dyingStore is a store whose service dies behind its nth write: that write is
// durable, and everything after it fails, as for a process that is gone.
type dyingStore struct {
	deskyard.Store
	die func()

	mu   sync.Mutex
	left int
	dead bool
}

var errDead = errors.New("the service was killed")

func (s *dyingStore) Write(ctx context.Context, f func(context.Context, deskyard.Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock() // one write at a time, so that "behind the nth" means something
	if s.dead {
		return errDead
	}
	err := s.Store.Write(ctx, f)
	if s.left--; s.left == 0 {
		s.dead = true
		go s.die()
	}
	return err
}

func (s *dyingStore) gone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead
}

// killBody is a deployment with a bit of everything: a copy loop, a slow resource,
// nested deployments of both scopes, a generated name, outputs.
var killBody = strings.Replace(body(
	`{"type":"Test.Things/things","apiVersion":"2025-01-01","name":"[concat('n', copyIndex())]","location":"local","copy":{"name":"loop","count":3}},`+
		thing("slow", "vm", `,"dependsOn":["loop"],"properties":{"secret":"[parameters('s')]"}`)+`,
	{"type":"Microsoft.Resources/deployments","apiVersion":"2021-04-01","name":"inner","dependsOn":["vm"],"properties":{"mode":"Incremental","expressionEvaluationOptions":{"scope":"inner"},
	 "parameters":{"g":{"value":"[parameters('g')]"},"s":{"value":"[parameters('s')]"}},
	 "template":{"$schema":"s","contentVersion":"1.0.0.0","parameters":{"g":{"type":"string"},"s":{"type":"securestring"},"own":{"type":"string","defaultValue":"[newGuid()]"}},
	  "resources":[`+thing("slow", "[concat('in-', parameters('own'))]", `,"properties":{"s":"[parameters('s')]"}`)+`],
	  "outputs":{"own":{"type":"string","value":"[parameters('own')]"}}}}},
	{"type":"Microsoft.Resources/deployments","apiVersion":"2021-04-01","name":"outer","dependsOn":["vm"],"properties":{"mode":"Incremental",
	 "template":{"$schema":"s","contentVersion":"1.0.0.0","resources":[`+thing("things", "[concat('out-', parameters('g'))]", "")+`]}}}`,
	`"parameters":{"g":{"type":"string","defaultValue":"[newGuid()]"},"s":{"type":"securestring"}}`,
	`"outputs":{"own":{"type":"string","value":"[reference('inner').outputs.own.value]"},"g":{"type":"string","value":"[parameters('g')]"}}`),
	`"mode":"Incremental"`, `"parameters":{"s":{"value":"kill-secret"}},"mode":"Incremental"`, 1)

// finishSlow plays the hypervisor: it ends whatever is Creating.
func (g *rig) finishSlow() {
	g.t.Helper()
	rows, err := g.store.Resources(g.t.Context(), deskyard.ResourceQuery{Type: "Test.Things/slow"})
	if err != nil {
		g.t.Fatal(err)
	}
	for _, r := range rows.Items {
		if strings.Contains(string(r.Properties), `"Creating"`) {
			g.finish(r.ID.Name(), stateSucceeded, "")
		}
	}
}

// drive plays until the deployment has ended or the service is dead.
func (g *rig) drive(name string, gone func() bool) string {
	g.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !gone() {
		ctx, cancel := context.WithTimeout(g.t.Context(), 30*time.Second)
		stopWaiting := context.AfterFunc(ctx, func() {})
		settled := make(chan error, 1)
		go func() { settled <- g.s.Settle(ctx) }()
		ticker := time.NewTicker(time.Millisecond)
		for waiting := true; waiting; {
			select {
			case <-settled:
				waiting = false
			case <-ticker.C:
				waiting = !gone()
			}
		}
		ticker.Stop()
		stopWaiting()
		cancel()
		row, err := g.store.Resource(g.t.Context(), arm.MustParseID(testDeployments+name))
		if arm.IsMissing(err) {
			return ""
		}
		if err != nil {
			g.t.Fatal(err)
		}
		var p shownDeployment
		if err := json.Unmarshal(row.Properties, &p); err != nil {
			g.t.Fatal(err)
		}
		if p.State == stateSucceeded || p.State == stateFailed {
			return p.State
		}
		g.finishSlow()
		if time.Now().After(deadline) {
			g.t.Fatalf("the deployment does not end\n%s", g.log)
		}
	}
	return ""
}

// endState is all that a deployment leaves behind, without what differs by nature:
// times, generated names.
func (g *rig) endState() string {
	g.t.Helper()
	var lines []string
	p := g.shown(testDeployments + "d1")
	outputs, _ := p["outputs"].(map[string]any)
	replace := []string{}
	for name, o := range outputs {
		if v, ok := o.(map[string]any)["value"].(string); ok {
			replace = append(replace, v, "<"+name+">")
		}
	}
	steady := strings.NewReplacer(replace...)
	for _, typ := range []string{"Test.Things/things", "Test.Things/slow", "Microsoft.Resources/deployments"} {
		rows, err := g.store.Resources(g.t.Context(), deskyard.ResourceQuery{Type: typ})
		if err != nil {
			g.t.Fatal(err)
		}
		for _, r := range rows.Items {
			var at resourceState
			if err := json.Unmarshal(r.Properties, &at); err != nil {
				g.t.Fatal(err)
			}
			lines = append(lines, steady.Replace(r.ID.String())+" "+at.ProvisioningState)
		}
	}
	for _, o := range g.operations("d1") {
		lines = append(lines, fmt.Sprintf("%s %s %s", o.Properties.Operation, o.Properties.State, steady.Replace(toJSON(o.Properties.Target))))
	}
	lines = append(lines, steady.Replace(toJSON(outputs)), steady.Replace(toJSON(p["outputResources"])))
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestKilledBehindAnyWriteADeploymentEndsTheSame(t *testing.T) {
	want := ""
	for n := 0; ; n++ {
		done := false
		t.Run(fmt.Sprintf("write %d", n), func(t *testing.T) {
			g := newRig(t)
			if n > 0 {
				done = g.killBehind(n)
			} else {
				g.mustDeploy("d1", killBody)
			}
			if state := g.drive("d1", func() bool { return false }); state != stateSucceeded {
				t.Fatalf("it ended as %q: %s\n%s", state, toJSON(g.shown(testDeployments + "d1")["error"]), g.log)
			}
			switch got := g.endState(); {
			case want == "":
				want = got
			case got != want:
				t.Errorf("it left behind\n%s\n\nand without being killed\n%s", got, want)
			}
		})
		if done || t.Failed() {
			if n < 10 && !t.Failed() {
				t.Errorf("only %d writes were counted", n)
			}
			return
		}
	}
}

// killBehind kills the service behind its nth write and starts another one on the
// same store; it reports whether the deployment ended before.
func (g *rig) killBehind(n int) (ended bool) {
	g.t.Helper()
	g.stop()
	store := &dyingStore{Store: g.store, left: n, die: func() {}}
	g.api.store = store
	g.start(store)
	var once sync.Once
	stop := g.stop
	killed := make(chan struct{})
	store.mu.Lock()
	store.die = func() { once.Do(func() { stop(); close(killed) }) }
	store.mu.Unlock()
	err := g.deploy("d1", killBody)
	state := ""
	if err == nil {
		state = g.drive("d1", store.gone)
	}
	if !store.gone() {
		g.stop()
	} else {
		<-killed
	}
	g.api.store = g.store
	g.start(g.store)
	if errors.Is(err, errDead) || missingDeployment(g) {
		g.mustDeploy("d1", killBody) // the client was not answered and asks again
	}
	return state != "" && !store.gone()
}

func missingDeployment(g *rig) bool {
	_, err := g.store.Resource(g.t.Context(), arm.MustParseID(testDeployments+"d1"))
	return arm.IsMissing(err)
}
