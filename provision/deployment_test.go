package provision

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

func TestADeploymentMakesItsResourcesInOrderAndAnswersOutputs(t *testing.T) {
	g := newRig(t)
	g.mustDeploy("d1", body(
		thing("things", "[concat('b-', parameters('n'))]", `,"dependsOn":["[resourceId('Test.Things/things', 'a')]"],"properties":{"of":"[reference('a').color]"}`)+","+
			thing("things", "a", `,"properties":{"color":"red"}`)+","+
			thing("things", "never", `,"condition":false`),
		`"parameters":{"n":{"type":"int","defaultValue":7}}`,
		`"outputs":{"color":{"type":"string","value":"[reference('b-7').of]"},"group":{"type":"string","value":"[resourceGroup().location]"}}`))
	p := g.ended("d1", stateSucceeded)
	if g.api.order[0] != "a" || g.api.order[1] != "b-7" || len(g.api.order) != 2 {
		t.Errorf("made in the order %v", g.api.order)
	}
	has(t, p["outputs"], `"color":{"type":"String","value":"red"}`, `"value":"local"`)
	has(t, p["parameters"], `"n":{"type":"Int","value":7}`)
	has(t, p["outputResources"], testThings+"a", testThings+"b-7")
	has(t, p["dependencies"], testThings+"b-7")
	if ops := g.operations("d1"); len(ops) != 3 { // two resources and the outputs
		t.Errorf("operations: %s", toJSON(ops))
	}
	op, err := g.store.Operation(t.Context(), g.runID("d1"))
	if err != nil || op.Status != stateSucceeded || !op.Done() {
		t.Errorf("operation %+v, %v", op, err)
	}
}

func (g *rig) runID(name string) string {
	g.t.Helper()
	_, st, err := g.s.readWork(g.t.Context(), g.store, arm.MustParseID(testDeployments+name))
	if err != nil {
		g.t.Fatal(err)
	}
	return st.Run
}

func TestAFailureStopsItsBranchAlone(t *testing.T) {
	g := newRig(t)
	g.mustDeploy("d1", body(
		thing("things", "broken", `,"properties":{"fails":true}`)+","+
			thing("things", "after-broken", `,"dependsOn":["broken"]`)+","+
			thing("things", "later-still", `,"dependsOn":["after-broken"]`)+","+
			thing("slow", "other", "")+","+
			thing("things", "after-other", `,"dependsOn":["other"]`)))
	g.settled("d1")
	g.finish("other", stateSucceeded, "")
	p := g.ended("d1", stateFailed)
	has(t, p["error"], "DeploymentFailed", "At least one resource deployment operation failed", "OutOfThings", "No thing is left for 'broken'",
		testThings+"broken", `"path":"resources[0]"`, `"lineNumber":1`)
	if slices.Contains(g.api.order, "after-broken") || slices.Contains(g.api.order, "later-still") || !slices.Contains(g.api.order, "after-other") {
		t.Errorf("made: %v", g.api.order)
	}
	op, err := g.store.Operation(t.Context(), g.runID("d1"))
	if err != nil || op.Error == nil || op.Error.Code != "DeploymentFailed" {
		t.Errorf("operation %+v, %v", op, err)
	}
}

func TestAResourceThatFailsLaterSaysWhy(t *testing.T) {
	g := newRig(t)
	g.mustDeploy("d1", body(thing("slow", "vm1", "")))
	if p := g.settled("d1"); p["provisioningState"] != stateRunning {
		t.Fatalf("it is %v while its resource is Creating", p["provisioningState"])
	}
	g.finish("vm1", stateFailed, "the guest never came")
	has(t, g.ended("d1", stateFailed)["error"], "ResourceDeploymentFailure", "the guest never came")
	has(t, g.operations("d1"), `"statusCode":"Conflict"`, "the guest never came")
}

func TestPreflightFindsEveryFaultAndMakesNothing(t *testing.T) {
	g := newRig(t)
	g.api.refuse = func(c Call) error {
		if c.ID.Name() == "forbidden" {
			return arm.Errorf(arm.Forbidden, "AuthorizationFailed", "The client 'admin' does not have authorization.")
		}
		return nil
	}
	err := g.deploy("d1", body(
		thing("things", "bad", `,"properties":{"bad":true}`)+","+thing("unknown", "x", "")+","+thing("things", "forbidden", "")+","+thing("things", "fine", "")+`,
		{"type":"Microsoft.Resources/deployments","apiVersion":"2021-04-01","name":"inner","properties":{"mode":"Incremental","expressionEvaluationOptions":{"scope":"inner"},
		 "template":{"$schema":"s","contentVersion":"1.0.0.0","resources":[`+thing("things", "bad-inside", `,"properties":{"bad":true}`)+`]}}}`))
	var e *arm.Error
	if !errors.As(err, &e) || e.Code != "InvalidTemplateDeployment" || len(e.Details) != 4 {
		t.Fatalf("answered %v with %s", err, toJSON(e))
	}
	has(t, e, "InvalidParameter", "InvalidResourceType", "AuthorizationFailed", "bad-inside", `"path":"resources[0]"`)
	if g.things() != 0 {
		t.Error("preflight made something")
	}
	if _, err := g.store.Resource(t.Context(), arm.MustParseID(testDeployments+"d1")); !arm.IsMissing(err) {
		t.Errorf("a refused deployment was stored: %v", err)
	}
}

func TestATemplatesFaultIsAnsweredWithItsPlace(t *testing.T) {
	g := newRig(t)
	err := g.deploy("d1", body(thing("things", "[nosuch('x')]", "")))
	var e *arm.Error
	if !errors.As(err, &e) || e.Code != "InvalidTemplate" {
		t.Fatalf("answered %v", err)
	}
	has(t, e, "nosuch", "resources[0].name")
}

func TestSecretsAreStoredSealedAndShownNowhere(t *testing.T) {
	const secret = "Sup3r-Secret-Value!"
	g := newRig(t)
	b := body(thing("slow", "vm1", `,"properties":{"size":"[parameters('plain')]"}`)+`,
		{"type":"Microsoft.Resources/deployments","apiVersion":"2021-04-01","name":"inner","properties":{"mode":"Incremental","expressionEvaluationOptions":{"scope":"inner"},
		 "parameters":{"p":{"value":"[parameters('password')]"},"q":{"value":"[parameters('password')]"}},
		 "template":{"$schema":"s","contentVersion":"1.0.0.0","parameters":{"p":{"type":"securestring"},"q":{"type":"string"}},"resources":[`+thing("slow", "inner1", `,"tags":{"used":"yes"}`)+`]}}}`,
		`"parameters":{"password":{"type":"securestring"},"plain":{"type":"string"},"byDefault":{"type":"SecureString","defaultValue":"`+secret+`"}}`,
		`"outputs":{"leak":{"type":"string","value":"[concat('x', parameters('password'))]"},"leak2":{"type":"string","value":"[deployment().properties.parameters.password.value]"},"open":{"type":"secureString","value":"[parameters('password')]"}}`)
	b = strings.Replace(b, `"mode":"Incremental",`, `"mode":"Incremental","debugSetting":{"detailLevel":"requestContent,responseContent"},"parameters":{"password":{"value":"`+secret+`"},"plain":{"value":"s1"}},`, 1)
	g.mustDeploy("d1", b)
	g.settled("d1")
	lookFor := func(when string) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(g.dir, "*"))
		if err != nil || len(files) == 0 {
			t.Fatal(err, files)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), secret) {
				t.Errorf("%s: the secret stands in %s", when, filepath.Base(f))
			}
		}
	}
	lookFor("while it runs")
	g.finish("inner1", stateSucceeded, "")
	g.finish("vm1", stateSucceeded, "")
	p := g.ended("d1", stateSucceeded)
	lookFor("after its end")
	has(t, p["parameters"], `"password":{"type":"SecureString"}`, `"plain":{"type":"String","value":"s1"}`)
	has(t, g.operations("d1"), `"content":{"location":"local","properties":{"size":"s1"}}`)
	if whole := toJSON(p) + toJSON(g.operations("d1")) + toJSON(g.shown(testDeployments+"inner")) + g.log.String(); strings.Contains(whole, secret) {
		t.Errorf("the secret is shown: %s", whole)
	}
}

func TestCancelStartsNothingMore(t *testing.T) {
	g := newRig(t)
	g.mustDeploy("d1", body(thing("slow", "first", "")+","+thing("things", "second", `,"dependsOn":["first"]`)+`,
		{"type":"Microsoft.Resources/deployments","apiVersion":"2021-04-01","name":"inner","properties":{"mode":"Incremental",
		 "template":{"$schema":"s","contentVersion":"1.0.0.0","resources":[`+thing("slow", "in1", "")+","+thing("things", "in2", `,"dependsOn":["in1"]`)+`]}}}`))
	g.settled("d1")
	id := arm.MustParseID(testDeployments + "d1")
	if err := g.cancel(id); err != nil {
		t.Fatal(err)
	}
	has(t, g.ended("d1", stateCanceled)["error"], "DeploymentCanceled")
	g.ended("inner", stateCanceled)
	g.finish("first", stateSucceeded, "")
	g.finish("in1", stateSucceeded, "")
	g.ended("d1", stateCanceled)
	if slices.Contains(g.api.order, "second") || slices.Contains(g.api.order, "in2") {
		t.Errorf("made after the cancellation: %v", g.api.order)
	}
	var e *arm.Error
	if err := g.cancel(id); !errors.As(err, &e) || e.Kind != arm.Conflicting {
		t.Errorf("canceled twice: %v", err)
	}
}

func TestNamesThatAzureRefusesAreRefused(t *testing.T) {
	g := newRig(t)
	id := arm.MustParseID(testDeployments + "x")
	for name, fine := range map[string]bool{
		"a": true, "d-1_2.(3)": true, strings.Repeat("n", 64): true, ".": true,
		strings.Repeat("n", 65): false, "a b": false, "a#b": false, "é": false, "a:b": false, "a,b": false, "a%20b": false, "": false, "a\x00": false,
	} {
		req := g.request("x", body(thing("things", "a", "")))
		req.ID = id.Parent().Provider("Microsoft.Resources", "deployments", name)
		_, err := g.s.PrepareDeployment(t.Context(), req)
		var e *arm.Error
		if errors.As(err, &e); (err == nil) != fine || err != nil && (e == nil || e.Code != "InvalidDeploymentName" || e.Kind != arm.Invalid) {
			t.Errorf("%q: %v", name, err)
		}
		inner := body(fmt.Sprintf(`{"type":"Microsoft.Resources/deployments","apiVersion":"2021-04-01","name":%q,"properties":{"mode":"Incremental","template":{"$schema":"s","contentVersion":"1.0.0.0","resources":[]}}}`, name))
		if _, err := g.s.PrepareDeployment(t.Context(), g.request("outer", inner)); (err == nil) != fine {
			t.Errorf("%q nested: %v", name, err)
		}
	}
}

// TestADeploymentThatRunsCanBeExportedAndNotDeletedAndAnEndedOneNotCanceled asks for
// what does not fit a deployment's state.
func TestADeploymentThatRunsCanBeExportedAndNotDeletedAndAnEndedOneNotCanceled(t *testing.T) {
	g := newRig(t)
	id := arm.MustParseID(testDeployments + "d1")
	remove := func() error {
		return g.store.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error { return g.s.DeleteDeployment(ctx, tx, id) })
	}
	code := func(err error) string {
		var e *arm.Error
		if !errors.As(err, &e) {
			return fmt.Sprint(err)
		}
		return fmt.Sprint(e.Kind == arm.Conflicting, " ", e.Code)
	}
	text := body(thing("slow", "a", ""))
	g.mustDeploy("d1", text)
	g.settled("d1")
	if got := code(remove()); got != "true DeploymentActive" {
		t.Errorf("deleted while it runs: %s", got)
	}
	exported, err := g.s.DeploymentTemplate(t.Context(), id)
	if err != nil || !strings.Contains(string(exported), "Test.Things/slow") {
		t.Errorf("exported while it runs: %s, %v", exported, err)
	}
	if err := g.cancel(id); err != nil {
		t.Fatal(err)
	}
	if err := g.cancel(id); err != nil && code(err) != "true DeploymentCannotBeCancelled" {
		t.Errorf("canceled again while it ends: %v", err)
	}
	g.ended("d1", stateCanceled)
	if got := code(g.cancel(id)); got != "true DeploymentCannotBeCancelled" {
		t.Errorf("canceled once it has ended: %s", got)
	}
	g.mustDeploy("d1", text) // the same name begins anew, and waits for what it began before
	if got := code(g.deploy("d1", text)); got != "true DeploymentActive" {
		t.Errorf("put again while it runs: %s", got)
	}
	g.settled("d1")
	g.finish("a", stateSucceeded, "")
	g.ended("d1", stateSucceeded)
	if got := code(g.cancel(id)); got != "true DeploymentCannotBeCancelled" {
		t.Errorf("canceled after its success: %s", got)
	}
	if again, err := g.s.DeploymentTemplate(t.Context(), id); err != nil || string(again) != string(exported) {
		t.Errorf("exported at the end: %s, %v", again, err)
	}
	if err := remove(); err != nil {
		t.Errorf("deleted at the end: %v", err)
	}
	if _, err := g.s.DeploymentTemplate(t.Context(), id); !arm.IsMissing(err) {
		t.Errorf("exported after it was deleted: %v", err)
	}
	if got := code(g.cancel(id)); got != "false DeploymentNotFound" {
		t.Errorf("canceled after it was deleted: %s", got)
	}
	if g.things() != 1 {
		t.Errorf("%d things: what a deployment made stays", g.things())
	}
}

func TestADeploymentThatRunsIsNotReplacedAndOneThatFailedGoesOn(t *testing.T) {
	g := newRig(t)
	b := body(thing("things", "a", "") + "," + thing("slow", "b", `,"dependsOn":["a"]`) + "," + thing("things", "c", `,"dependsOn":["b"]`))
	g.mustDeploy("d1", b)
	g.settled("d1")
	var e *arm.Error
	if err := g.deploy("d1", b); !errors.As(err, &e) || e.Code != "DeploymentActive" {
		t.Fatalf("a running deployment was replaced: %v", err)
	}
	g.finish("b", stateFailed, "power cut")
	g.ended("d1", stateFailed)
	g.finish("b", "Creating", "")
	g.mustDeploy("d1", b)
	g.settled("d1")
	g.finish("b", stateSucceeded, "")
	g.ended("d1", stateSucceeded)
	if g.things() != 3 {
		t.Errorf("%d things, want 3", g.things())
	}
}

func TestNestedDeploymentsAreDeploymentsOfTheirOwn(t *testing.T) {
	g := newRig(t)
	g.group("rg2")
	g.mustDeploy("d1", body(`
		{"type":"Microsoft.Resources/deployments","apiVersion":"2021-04-01","name":"outer","resourceGroup":"rg2","properties":{"mode":"Incremental",
		 "template":{"$schema":"s","contentVersion":"1.0.0.0","variables":{"v":"inner's"},"resources":[`+thing("things", "[variables('v')]", "")+`]}}},
		{"type":"Microsoft.Resources/deployments","apiVersion":"2021-04-01","name":"inner","dependsOn":["outer"],"properties":{"mode":"Incremental","expressionEvaluationOptions":{"scope":"inner"},
		 "parameters":{"name":{"value":"[concat(variables('v'), '-2')]"}},
		 "template":{"$schema":"s","contentVersion":"1.0.0.0","parameters":{"name":{"type":"string"}},"resources":[`+thing("things", "[parameters('name')]", "")+`],
		 "outputs":{"id":{"type":"string","value":"[resourceId('Test.Things/things', parameters('name'))]"}}}}}`,
		`"variables":{"v":"outers"}`, `"outputs":{"made":{"type":"string","value":"[reference('inner').outputs.id.value]"}}`))
	p := g.ended("d1", stateSucceeded)
	inGroup2 := strings.Replace(testThings, "rg1", "rg2", 1) + "outers"
	has(t, p["outputs"], testThings+"outers-2")
	has(t, p["outputResources"], inGroup2, testThings+"outers-2")
	nested := g.shown(strings.Replace(testDeployments, "rg1", "rg2", 1) + "outer")
	if nested["provisioningState"] != stateSucceeded || nested["correlationId"] != p["correlationId"] {
		t.Errorf("nested deployment: %s", toJSON(nested))
	}
	g.ended("inner", stateSucceeded)
}

func TestCompleteModeDeletesTheRestInReverseOfUse(t *testing.T) {
	g := newRig(t)
	g.mustDeploy("d0", body(thing("things", "disk", "")+","+thing("things", "nic", `,"dependsOn":["disk"]`)+","+thing("things", "vm", `,"dependsOn":["nic"]`)+","+thing("things", "kept", "")))
	g.ended("d0", stateSucceeded)
	g.api.uses = map[string]string{"vm": "nic", "nic": "disk"}
	complete := strings.Replace(body(thing("things", "kept", "")+","+thing("things", "new", "")), "Incremental", "Complete", 1)
	g.mustDeploy("d1", complete)
	g.ended("d1", stateSucceeded)
	if strings.Join(g.api.deleted, " ") != "vm nic disk" || g.things() != 2 {
		t.Errorf("deleted %v; %d things are left", g.api.deleted, g.things())
	}
	has(t, g.operations("d1"), `"provisioningOperation":"Delete"`)
}

func TestOnErrorDeploymentGoesBackToWhatSucceeded(t *testing.T) {
	g := newRig(t)
	g.mustDeploy("good", body(thing("things", "a", `,"properties":{"v":"[parameters('p')]"}`), `"parameters":{"p":{"type":"securestring","defaultValue":"one"}}`))
	g.ended("good", stateSucceeded)
	b := strings.Replace(body(thing("things", "a", `,"properties":{"v":"two"}`)+","+thing("things", "b", `,"dependsOn":["a"],"properties":{"fails":true}`)),
		`"mode":"Incremental"`, `"mode":"Incremental","onErrorDeployment":{"type":"LastSuccessful"}`, 1)
	g.mustDeploy("worse", b)
	p := g.ended("worse", stateFailed)
	has(t, p["onErrorDeployment"], `"deploymentName":"good"`)
	g.ended("good", stateSucceeded)
	has(t, g.shown(testThings+"a"), `"v":"one"`)
}

func TestWhatIfForetellsAndMakesNothing(t *testing.T) {
	g := newRig(t)
	g.mustDeploy("d0", body(thing("things", "same", `,"properties":{"v":1}`)+","+thing("things", "other", `,"properties":{"v":1}`)+","+thing("things", "left", "")))
	g.ended("d0", stateSucceeded)
	b := body(thing("things", "same", `,"properties":{"v":1}`) + "," + thing("things", "other", `,"properties":{"v":2}`) + "," + thing("things", "new", ""))
	changes, err := g.s.WhatIf(t.Context(), g.request("d1", b), "FullResourcePayloads")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range changes {
		got[c.ResourceID] = c.ChangeType
	}
	for name, want := range map[string]string{"same": changeNone, "other": changeModify, "new": changeCreate, "left": changeIgnore} {
		if got[testThings+name] != want {
			t.Errorf("%s: %s, want %s in %s", name, got[testThings+name], want, toJSON(changes))
		}
	}
	has(t, changes, `"path":"properties.v"`)
	changes, err = g.s.WhatIf(t.Context(), g.request("d1", strings.Replace(b, "Incremental", "Complete", 1)), "")
	if err != nil {
		t.Fatal(err)
	}
	has(t, changes, `left","changeType":"Delete"`)
	if g.things() != 3 {
		t.Error("what-if changed something")
	}
}

func (g *rig) cancel(id arm.ResourceID) error {
	g.t.Helper()
	err := g.s.o.Store.Write(g.t.Context(), func(ctx context.Context, tx deskyard.Tx) error { return g.s.CancelDeployment(ctx, tx, id) })
	if err == nil {
		g.s.DeploymentCanceled(id)
	}
	return err
}

// A resource that is ready before the answer to its PUT has arrived is not waited for.
func TestAResourceThatIsReadyDuringItsCallIsSeenAtOnce(t *testing.T) {
	g := newRig(t)
	ready := make(chan struct{})
	g.api.after = func(c Call) {
		if c.ID.Name() == "other" {
			<-ready
		}
		if c.ID.Name() == "quick" {
			g.finish("quick", stateSucceeded, "")
			close(ready)
			// The other step ends now, so that the engine looks around before this answer.
			for len(g.operationsIn("d1", stateSucceeded)) == 0 {
				if t.Context().Err() != nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
		}
	}
	g.mustDeploy("d1", body(thing("slow", "quick", "")+","+thing("things", "other", "")))
	g.ended("d1", stateSucceeded)
}

func (g *rig) operationsIn(name, state string) (in []DeploymentOperation) {
	for _, o := range g.operations(name) {
		if o.Properties.State == state {
			in = append(in, o)
		}
	}
	return in
}
