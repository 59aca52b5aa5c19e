//go:build e2e

package portal

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard/e2e/service"
)

const (
	group  = "yard"
	reader = "acdd72a7-3385-48ef-bd42-f606fba81ae7" // the role Reader
	user   = "1d18fff3-a72a-46b5-b4a9-0b38a3cd7e63" // the role Desktop Virtualization User
)

// fill puts one thing of each kind into the house: pools, hosts of which one ails, what
// they publish, people, networks, images, a location and a run of a template.
func (h *house) fill(t *testing.T) {
	t.Helper()
	must(t, h.client.CreateGroup(t.Context(), group))
	h.fillPools(t)
	h.fillPeople(t)
	h.fillMachines(t)
	h.fillHosts(t)
}

const desktops = "Microsoft.DesktopVirtualization/"

// put makes a resource; its id is what the page of that name is about.
func (h *house) put(t *testing.T, page, path, version string, body map[string]any) {
	t.Helper()
	if _, there := body["location"]; !there {
		body["location"] = "local"
	}
	must(t, h.client.Do(t.Context(), http.MethodPut, path+"?api-version="+version, body, nil))
	if page != "" {
		h.places[page] = path
	}
}

type object = map[string]any

func (h *house) fillPools(t *testing.T) {
	t.Helper()
	pool, apps := h.path(desktops+"hostPools/hp1"), h.path(desktops+"applicationGroups/ag-apps")
	h.put(t, "hostpool", pool, "2024-04-03", object{"tags": object{"site": "north"}, "properties": object{
		"hostPoolType": "Pooled", "loadBalancerType": "BreadthFirst", "preferredAppGroupType": "Desktop", "maxSessionLimit": 10, "friendlyName": "Office"}})
	h.places["add"], h.places["key"] = pool, pool
	h.put(t, "", h.path(desktops+"hostPools/hp2"), "2024-04-03", object{"properties": object{
		"hostPoolType": "Personal", "loadBalancerType": "Persistent", "personalDesktopAssignmentType": "Automatic", "preferredAppGroupType": "Desktop", "startVMOnConnect": true}})
	h.put(t, "appgroup", h.path(desktops+"applicationGroups/ag-desk"), "2024-04-03", object{"properties": object{"applicationGroupType": "Desktop", "hostPoolArmPath": pool, "friendlyName": "Office desktop"}})
	h.put(t, "", apps, "2024-04-03", object{"properties": object{"applicationGroupType": "RemoteApp", "hostPoolArmPath": pool}})
	must(t, h.client.Do(t.Context(), http.MethodPut, apps+"/applications/Terminal?api-version=2024-04-03", object{"properties": object{
		"friendlyName": "Terminal", "filePath": "/usr/bin/xterm", "commandLineSetting": "DoNotAllow", "showInPortal": true}}, nil))
	h.put(t, "workspace", h.path(desktops+"workspaces/office"), "2024-04-03", object{"properties": object{
		"friendlyName": "Work", "applicationGroupReferences": []string{h.places["appgroup"], apps}}})
	at := func(hour int) object { return object{"hour": hour, "minute": 0} }
	h.put(t, "scalingplan", h.path(desktops+"scalingPlans/plan"), "2024-04-03", object{"properties": object{
		"timeZone": "W. Europe Standard Time", "hostPoolType": "Pooled", "hostPoolReferences": []object{{"hostPoolArmPath": pool, "scalingPlanEnabled": false}},
		"schedules": []object{{"name": "weekdays", "daysOfWeek": []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday"},
			"rampUpStartTime": at(7), "rampUpLoadBalancingAlgorithm": "BreadthFirst", "rampUpMinimumHostsPct": 20, "rampUpCapacityThresholdPct": 60,
			"peakStartTime": at(9), "peakLoadBalancingAlgorithm": "BreadthFirst", "rampDownStartTime": at(18), "rampDownLoadBalancingAlgorithm": "DepthFirst",
			"rampDownMinimumHostsPct": 10, "rampDownCapacityThresholdPct": 90, "rampDownForceLogoffUsers": false, "rampDownWaitTimeMinutes": 30,
			"rampDownNotificationMessage": "The desktop ends soon.", "rampDownStopHostsWhen": "ZeroSessions", "offPeakStartTime": at(20), "offPeakLoadBalancingAlgorithm": "DepthFirst"}}}})
}

// fillPeople makes Ann, who may read everything, and Bob, who may open a desktop; both are
// in a group.
func (h *house) fillPeople(t *testing.T) {
	t.Helper()
	for _, name := range []string{"ann", "bob"} {
		p := login{User: name + "@yard.example", Password: "Yard-" + uuid.NewString()}
		var u struct{ ID string }
		must(t, h.client.Do(t.Context(), http.MethodPost, "/graph/v1.0/users", object{"userPrincipalName": p.User, "displayName": name, "accountEnabled": true,
			"passwordProfile": object{"password": p.Password, "forceChangePasswordNextSignIn": false}}, &u))
		p.ID = u.ID
		h.people[name] = p
	}
	h.assign(t, "", reader, h.people["ann"].ID)
	h.assign(t, h.places["appgroup"], user, h.people["bob"].ID)
	h.places["user"] = "/" + h.people["bob"].ID
	var g struct{ ID string }
	must(t, h.client.Do(t.Context(), http.MethodPost, "/graph/v1.0/groups", object{"displayName": "Office", "mailEnabled": false, "mailNickname": "office", "securityEnabled": true}, &g))
	must(t, h.client.Do(t.Context(), http.MethodPost, "/graph/v1.0/groups/"+g.ID+"/members/$ref", object{"@odata.id": h.Endpoint + "/graph/v1.0/directoryObjects/" + h.people["bob"].ID}, nil))
	h.places["group"] = "/" + g.ID
}

func (h *house) assign(t *testing.T, scope, role, principal string) {
	t.Helper()
	must(t, h.client.Do(t.Context(), http.MethodPut, scope+"/providers/Microsoft.Authorization/roleAssignments/"+uuid.NewString()+"?api-version=2022-04-01",
		object{"properties": object{"roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/" + role, "principalId": principal, "principalType": "User"}}, nil))
}

func (h *house) fillMachines(t *testing.T) {
	t.Helper()
	h.put(t, "network", h.path("Microsoft.Network/virtualNetworks/office"), "2024-05-01", object{"properties": object{
		"addressSpace": object{"addressPrefixes": []string{"10.0.0.0/16"}},
		"subnets":      []object{{"name": "desks", "properties": object{"addressPrefix": "10.0.2.0/24"}}}}})
	deployment := "/subscriptions/" + h.SubscriptionID + "/resourceGroups/" + group + "/providers/Microsoft.Resources/deployments/plain"
	must(t, h.client.Do(t.Context(), http.MethodPut, deployment+"?api-version=2021-04-01", object{"properties": object{"mode": "Incremental", "template": object{
		"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "contentVersion": "1.0.0.0",
		"resources": []object{{"type": "Microsoft.DesktopVirtualization/workspaces", "apiVersion": "2024-04-03", "name": "second", "location": "local", "properties": object{"friendlyName": "Second"}}}}}}, nil))
	h.places["deployment"] = deployment
	h.fillRun(t)
}

// fillRun adds a host by a run of the wizard, and waits until it is there.
func (h *house) fillRun(t *testing.T) {
	t.Helper()
	var added struct{ DeploymentID string }
	must(t, h.client.Do(t.Context(), http.MethodPost, h.places["hostpool"]+"/addSessionHosts?api-version=2024-04-03", object{
		"basics":          object{"namePrefix": "run"},
		"virtualMachines": object{"numberOfVirtualMachines": 1, "size": "Standard_D2s_v3", "imageReference": object{"publisher": "Deskyard", "offer": "debian-12", "sku": "desktop"}},
		"network":         object{"virtualNetwork": "office", "subnet": "desks"}, "virtualMachineAdministratorAccount": object{"username": "keeper", "password": "Correct-Horse-9-Staple"}}, &added))
	h.places["run"] = h.places["hostpool"] + "/sessionHostRuns/" + added.DeploymentID[strings.LastIndexByte(added.DeploymentID, '/')+1:]
	h.await(t, h.client.Pool(group, "hp1"), "run-0", "Available")
}

// fillHosts lets three machines join: one serves, one drains with a session, one ails.
func (h *house) fillHosts(t *testing.T) {
	t.Helper()
	pool := h.client.Pool(group, "hp1")
	key, err := pool.Key(t.Context())
	must(t, err)
	h.join(t, "sh-0", key, &host{})
	drained, ailing := &host{}, &host{ailing: "Nothing listens for remote desktops. Start the service xrdp."}
	drained.signIn(h.people["bob"].User, "Active")
	h.join(t, "sh-1", key, drained)
	h.join(t, "sh-2", key, ailing)
	h.places["host"] = h.path(desktops + "hostPools/hp1/sessionHosts/sh-1")
	h.await(t, pool, "sh-0", "Available")
	h.await(t, pool, "sh-1", "Available")
	must(t, pool.Drain(t.Context(), "sh-1", true))
	h.await(t, pool, "sh-2", "Unavailable")
	h.connect(t)
}

// fillPersonal lets a machine join the personal pool.
func (h *house) fillPersonal(t *testing.T) {
	t.Helper()
	pool := h.client.Pool(group, "hp2")
	key, err := pool.Key(t.Context())
	must(t, err)
	h.join(t, "pc-0", key, &host{})
	h.await(t, pool, "pc-0", "Available")
}

// connect lets Bob ask for his desktop, which is a connection on record.
func (h *house) connect(t *testing.T) {
	t.Helper()
	bob := h.client.Person(h.people["bob"].User, h.people["bob"].Password)
	resources, err := bob.Resources(t.Context())
	must(t, err)
	if len(resources) != 1 {
		t.Fatalf("Bob may open %+v", resources)
	}
	id, err := bob.Connect(t.Context(), resources[0].ID)
	must(t, err)
	h.places["connection"] = "/subscriptions/" + h.SubscriptionID + "/providers/Microsoft.DesktopVirtualization/connections/" + id
}

func (h *house) await(t *testing.T, pool service.Pool, name, status string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	_, err := pool.Watch(ctx, name, status, nil)
	must(t, err)
}
