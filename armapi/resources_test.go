package armapi

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

func TestResourceGroupsLiveAsAzureClientsExpect(t *testing.T) {
	f := newService(t)
	f.do("PUT", homeSub+"/resourcegroups/rg1"+v21, `{"location":"East US","tags":{"a":"b"}}`).want(201).
		is("id", homeSub+"/resourceGroups/rg1").is("name", "rg1").is("type", "Microsoft.Resources/resourceGroups").
		is("location", "eastus").is("tags.a", "b").is("properties.provisioningState", "Succeeded")
	f.do("PUT", homeSub+"/resourcegroups/rg1"+v21, `{"location":"eastus"}`).want(200).is("tags", "map[]")
	f.do("PUT", homeSub+"/resourcegroups/rg1"+v21, `{"location":"westus"}`).want(409, "InvalidResourceLocation")
	f.do("PATCH", homeSub+"/resourcegroups/rg1"+v21, `{"tags":{"c":"d"}}`).want(200).is("tags.c", "d")
	f.do("GET", homeSub+"/resourceGroups/RG1?api-version=2022-09-01", nil).want(200).is("name", "rg1")
	f.do("PUT", homeSub+"/resourcegroups/dots."+v21, `{"location":"eastus"}`).want(400, "InvalidResourceName")
	f.do("PUT", homeSub+"/resourcegroups/"+strings.Repeat("g", 91)+v21, `{"location":"eastus"}`).want(400, "InvalidResourceName")
	f.group("rg2")
	f.do("GET", homeSub+"/resourcegroups"+v21, nil).want(200).is("value.0.name", "rg1").is("value.1.name", "rg2").is("value.2", nil)
	f.do("GET", homeSub+"/resourcegroups"+v21+"&$top=1", nil).want(200).is("value.1", nil)
	f.do("GET", homeSub+"/resourcegroups"+v21+"&$filter="+url.QueryEscape("tagName eq 'c' and tagValue eq 'd'"), nil).want(200).is("value.0.name", "rg1").is("value.1", nil)
	f.do("DELETE", homeSub+"/resourcegroups/none"+v21, nil).want(404, "ResourceGroupNotFound")
}

func TestDeletingAGroupTakesAllInItAndIsPolledToItsEnd(t *testing.T) {
	dropped := &dropFleet{}
	f := newService(t, func(o *Options) { o.Fleet = dropped })
	f.group("rg1")
	f.maker("hp1")
	f.do("PUT", makers+"/hp1/parts/one"+vw, `{}`).want(200)
	host := deskyard.SessionHost{ID: arm.MustParseID(makers + "/hp1/sessionHosts/vm1"), ObjectID: "host-oid", Pool: "pool"}
	if err := f.store.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
		_, err := tx.PutSessionHost(ctx, host)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	a := f.do("DELETE", homeGroup+v21, nil).want(202)
	if a.header.Get("Retry-After") != "1" || a.text != "" {
		t.Errorf("Retry-After %q, body %q", a.header.Get("Retry-After"), a.text)
	}
	u, err := url.Parse(a.header.Get("Location"))
	if err != nil || u.Scheme != "https" || u.Host != "desk.example:8443" || u.Query().Get("api-version") == "" {
		t.Fatalf("Location is %q", a.header.Get("Location"))
	}
	f.do("GET", u.Path+"?"+u.RawQuery, nil).want(200)
	f.do("GET", homeGroup+v21, nil).want(404, "ResourceGroupNotFound")
	f.group("rg1")
	f.do("GET", makers+vw, nil).want(200).is("value", "[]")
	if len(dropped.ids) != 1 || dropped.ids[0] != "host-oid" {
		t.Errorf("links dropped: %v", dropped.ids)
	}
	f.do("GET", homeSub+"/operationresults/nonsense"+v21, nil).want(404, "OperationNotFound")
}

func TestAGroupGoesWithWhatUsesEachOtherInIt(t *testing.T) {
	dropped := &dropFleet{}
	f := newService(t, func(o *Options) { o.Fleet, o.Tokens = dropped, keyNames{} })
	f.group("rg1")
	f.group("rg2")
	const dv = "/providers/Microsoft.DesktopVirtualization/"
	pool, pool2 := homeGroup+dv+"hostPools/hp1", homeSub+"/resourceGroups/rg2"+dv+"hostPools/hp2"
	body := `{"location":"eastus","properties":{"hostPoolType":"Pooled","loadBalancerType":"BreadthFirst","preferredAppGroupType":"Desktop"}}`
	f.do("PUT", pool+vw, body).want(201)
	f.do("PUT", pool2+vw, body).want(201)
	group := func(in, name, of string) string {
		id := homeSub + "/resourceGroups/" + in + dv + "applicationGroups/" + name
		f.do("PUT", id+vw, `{"location":"eastus","properties":{"applicationGroupType":"Desktop","hostPoolArmPath":"`+of+`"}}`).want(201)
		return id
	}
	ag := group("rg1", "ag1", pool)
	outside := group("rg1", "ag2", pool2)
	f.do("PUT", homeSub+"/resourceGroups/rg2"+dv+"workspaces/ws1"+vw,
		`{"location":"eastus","properties":{"applicationGroupReferences":["`+ag+`","`+outside+`"]}}`).want(201)
	pool1, err := f.store.Resource(t.Context(), arm.MustParseID(pool))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.store.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
		_, err := tx.PutSessionHost(ctx, deskyard.SessionHost{ID: pool1.ID.Child("sessionHosts", "vm1"), ObjectID: "host-oid", Pool: "pool"})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	// A pool in rg2 is used from rg1: it cannot go before its user.
	f.do("DELETE", homeSub+"/resourcegroups/rg2"+v21, nil).want(409)
	f.do("GET", homeSub+"/resourceGroups/rg2"+dv+"workspaces/ws1"+vw, nil).want(200)
	f.do("DELETE", homeGroup+v21, nil).want(202)
	f.do("GET", homeSub+"/resources"+v21, nil).want(200).is("value.0.name", "hp2").is("value.1.name", "ws1").is("value.2", nil)
	f.do("GET", homeSub+"/resourceGroups/rg2"+dv+"workspaces/ws1"+vw, nil).want(200).is("properties.applicationGroupReferences", "[]")
	f.do("DELETE", homeSub+"/resourcegroups/rg2"+v21, nil).want(202)
	if len(dropped.ids) != 1 {
		t.Errorf("links dropped: %v, want the one", dropped.ids)
	}
}

// dropFleet notes whose link was dropped.
type dropFleet struct {
	noFleet
	ids []string
}

func (d *dropFleet) Drop(id, _ string) { d.ids = append(d.ids, id) }

func TestOperationsAreReportedWhileTheyRunAndWhenTheyFail(t *testing.T) {
	f := newService(t)
	running := deskyard.Operation{ID: "op-1", Scope: arm.MustParseID(homeGroup), Status: "Running", Started: f.now, Percent: 40}
	failed := deskyard.Operation{ID: "op-2", Scope: arm.MustParseID(homeGroup), Status: "Failed", Started: f.now, Ended: f.now,
		Error: arm.Errorf(arm.Conflicting, "InUse", "It is in use.")}
	if err := f.store.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
		if err := tx.PutOperation(ctx, running); err != nil {
			return err
		}
		return tx.PutOperation(ctx, failed)
	}); err != nil {
		t.Fatal(err)
	}
	a := f.do("GET", homeSub+"/operationresults/op-1"+v21, nil).want(202)
	if a.header.Get("Retry-After") != "1" || !strings.Contains(a.header.Get("Location"), "/operationresults/op-1?") {
		t.Errorf("headers %v", a.header)
	}
	status := homeSub + "/providers/Microsoft.Resources/locations/eastus/operationStatuses/"
	f.do("GET", status+"op-1"+v21, nil).want(200).is("status", "Running").is("percentComplete", 40)
	f.do("GET", status+"op-2"+v21, nil).want(200).is("status", "Failed").is("error.code", "InUse")
}

func TestResourcesOfAllTypesAreListedAndFiltered(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	f.group("rg2")
	f.maker("hp1")
	f.do("PUT", homeSub+"/resourceGroups/rg2/providers/Test.Widgets/widgetMakers/hp2"+vw, `{"location":"eastus","tags":{"env":"prod","x":"y"}}`).want(201)
	f.do("PUT", makers+"/hp1/parts/one"+vw, `{}`).want(200)
	for filter, want := range map[string]string{
		"":                       "hp1 hp2",
		"resourceGroup eq 'RG1'": "hp1",
		"resourceType eq 'test.widgets/WIDGETMAKERS'":                              "hp1 hp2",
		"resourceType eq 'test.widgets/none'":                                      "",
		"name eq 'hp2'":                                                            "hp2",
		"tagName eq 'ENV' and tagValue eq 'prod'":                                  "hp2",
		"tagName eq 'env' and tagValue eq 'y'":                                     "",
		"tagName eq 'env'":                                                         "hp2",
		"substringof('p2', name)":                                                  "hp2",
		"startswith(name,'hp') and not (name eq 'hp1')":                            "hp2",
		"name eq 'hp1' or name eq 'hp2'":                                           "hp1 hp2",
		"resourceGroup eq 'rg1' or resourceGroup eq 'rg2'":                         "hp1 hp2",
		"resourceType ne 'Test.Widgets/widgetMakers'":                              "",
		"location eq 'eastus' and resourceGroup eq 'rg2'":                          "hp2",
		"(resourceGroup eq 'rg1') and resourceType eq 'test.widgets/widgetmakers'": "hp1",
	} {
		got := strings.Join(f.listAll(t, homeSub+"/resources"+v21+"&$filter="+url.QueryEscape(filter)), " ")
		if got != want {
			t.Errorf("%s lists %q, want %q", filter, got, want)
		}
	}
	f.do("GET", homeSub+"/resources"+v21+"&$top=1&$expand=createdTime,changedTime,provisioningState", nil).want(200).
		is("value.0.provisioningState", "Succeeded").is("value.0.createdTime", "2026-03-01T12:00:00.123456Z").is("value.1", nil).
		is("value.0.id", homeSub+"/resourcegroups/rg1/providers/Test.Widgets/widgetmakers/hp1")
	f.do("GET", homeGroup+"/resources"+v21, nil).want(200).is("value.0.name", "hp1").is("value.1", nil)
}

func TestTagsAreAResourceAtEveryScope(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	f.maker("hp1")
	for _, scope := range []string{homeSub, homeGroup, makers + "/hp1"} {
		tags := scope + "/providers/Microsoft.Resources/tags/default" + v21
		f.do("PUT", tags, `{"properties":{"tags":{"env":"test"}}}`).want(200).is("properties.tags.env", "test").is("type", "Microsoft.Resources/tags")
		f.do("PATCH", tags, `{"operation":"Merge","properties":{"tags":{"k":"v","ENV":"prod"}}}`).want(200).is("properties.tags", "map[ENV:prod k:v]")
		f.do("GET", tags, nil).want(200).is("properties.tags.k", "v").is("name", "default")
		f.do("PATCH", tags, `{"operation":"Delete","properties":{"tags":{"k":"v"}}}`).want(200).is("properties.tags", "map[ENV:prod]")
		f.do("PATCH", tags, `{"operation":"Replace","properties":{"tags":{"z":"1"}}}`).want(200).is("properties.tags", "map[z:1]")
		f.do("PATCH", tags, `{"operation":"Explode","properties":{"tags":{"z":"1"}}}`).want(400, "InvalidTagsPatchOperation")
		f.do("DELETE", tags, nil).want(200)
		f.do("GET", tags, nil).want(200).is("properties.tags", "map[]")
	}
	f.do("PUT", makers+"/hp1/providers/Microsoft.Resources/tags/default"+v21, `{"properties":{"tags":{"seen":"yes"}}}`).want(200)
	f.do("GET", makers+"/hp1"+vw, nil).want(200).is("tags.seen", "yes")
	f.do("GET", makers+"/none/providers/Microsoft.Resources/tags/default"+v21, nil).want(404, "ResourceNotFound")
	many := `{"properties":{"tags":{"t0":""`
	for i := 1; i <= 50; i++ {
		many += fmt.Sprintf(`,"t%d":""`, i)
	}
	f.do("PUT", homeGroup+"/providers/Microsoft.Resources/tags/default"+v21, many+`}}}`).want(400, "TooManyTags")
}

func TestWhoMayWriteAResourceMayWriteItsTags(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	f.maker("hp1")
	tags, body := makers+"/hp1/providers/Microsoft.Resources/tags/default"+v21, `{"properties":{"tags":{"a":"b"}}}`
	f.access.let("owner", func(action string, scope arm.ResourceID) bool {
		return action == "Test.Widgets/widgetmakers/write" && scope.Name() == "hp1"
	})
	f.access.let("tagger", func(action string, _ arm.ResourceID) bool { return action == "Microsoft.Resources/tags/write" })
	f.access.let("reader", func(action string, _ arm.ResourceID) bool { return strings.HasSuffix(action, "/read") })
	f.do("PUT", tags, body, "Authorization", "Bearer owner").want(200)
	f.do("PUT", tags, body, "Authorization", "Bearer tagger").want(200)
	a := f.do("PUT", tags, body, "Authorization", "Bearer reader").want(403, "AuthorizationFailed")
	if !strings.Contains(a.text, "'Microsoft.Resources/tags/write'") {
		t.Errorf("the refusal names another action: %s", a.text)
	}
	f.do("GET", tags, nil, "Authorization", "Bearer reader").want(200)
	f.do("GET", tags, nil, "Authorization", "Bearer tagger").want(403, "AuthorizationFailed")
}

func TestProvidersListEveryTypeAndAreRegistered(t *testing.T) {
	f := newService(t)
	f.do("GET", homeSub+"/providers/test.widgets"+v21, nil).want(200).
		is("id", homeSub+"/providers/Test.Widgets").is("registrationState", "Registered").
		is("resourceTypes.0.resourceType", "widgetmakers").is("resourceTypes.1.resourceType", "widgetmakers/parts").
		is("resourceTypes.0.apiVersions.0", "2024-04-03").is("resourceTypes.0.defaultApiVersion", "2024-04-03")
	f.do("POST", homeSub+"/providers/Test.Widgets/register"+v21, nil).want(200).is("registrationState", "Registered")
	f.do("POST", homeSub+"/providers/Test.Widgets/unregister"+v21, nil).want(409, "CannotUnregisterNamespace")
	f.do("GET", homeSub+"/providers/Contoso.None"+v21, nil).want(404, "InvalidResourceNamespace")
	f.do("GET", "/providers/Microsoft.Resources"+v21, nil).want(200).is("id", "/providers/Microsoft.Resources")
	for _, target := range []string{"/providers", homeSub + "/providers"} {
		if a := f.do("GET", target+v21, nil).want(200); !strings.Contains(a.text, `"Microsoft.Insights"`) || !strings.Contains(a.text, `"Test.Widgets"`) {
			t.Errorf("%s lacks a namespace", target)
		}
	}
	f.do("GET", homeSub+"/providers/Test.Widgets/resourceTypes"+v21, nil).want(200).is("value.0.resourceType", "widgetmakers")
}

func TestSubscriptionsTenantsAndLocationsAreListed(t *testing.T) {
	f := newService(t)
	f.do("GET", "/subscriptions?api-version=2019-11-01", nil).want(200).is("value.0.subscriptionId", homeSubscription).
		is("value.0.state", "Enabled").is("value.0.tenantId", homeTenant).is("count.value", 1)
	f.do("GET", homeSub+"?api-version=2022-12-01", nil).want(200).is("displayName", "Test subscription")
	f.do("GET", "/tenants?api-version=2019-11-01", nil).want(200).is("value.0.tenantId", homeTenant).is("value.0.defaultDomain", "test.example")
	f.do("GET", homeSub+"/locations?api-version=2019-11-01", nil).want(200).is("value.0.name", "local").is("value.1.displayName", "East US")
}

func TestMetadataHasTheShapeThatEachClientReads(t *testing.T) {
	f := newService(t)
	public := []string{"Authorization", ""}
	f.do("GET", "/metadata/endpoints?api-version=2015-01-01", nil, public...).want(200).
		is("authentication.loginEndpoint", "https://desk.example:8443/adfs").is("authentication.audiences.0", "https://desk.example:8443/").
		is("graphEndpoint", "https://desk.example:8443/graph")
	f.do("GET", "/metadata/endpoints?api-version=2019-05-01", nil, public...).want(200).
		is("0.name", "Deskyard").is("0.authentication.loginEndpoint", "https://desk.example:8443/").is("0.suffixes.keyVaultDns", "desk.example:8443")
	f.do("GET", "/metadata/endpoints?api-version=2022-09-01", nil, public...).want(200).
		is("name", "Deskyard").is("resourceManager", "https://desk.example:8443/").is("authentication.tenant", "common").
		is("authentication.identityProvider", "AAD").is("microsoftGraphResourceId", "https://desk.example:8443/graph")
}

func TestExportWritesATemplateOfTheGroup(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	f.maker("hp1")
	f.do("PUT", makers+"/hp1/parts/one"+vw, `{}`).want(200)
	f.do("POST", homeGroup+"/exportTemplate"+v21, `{"resources":["*"],"options":"IncludeParameterDefaultValue"}`).want(200).
		is("template.contentVersion", "1.0.0.0").is("template.resources.0.type", "Test.Widgets/widgetMakers").
		is("template.resources.0.name", "hp1").is("template.resources.0.properties.color", "red").is("template.resources.0.properties.objectId", nil).
		is("template.resources.1.name", "hp1/one").is("template.resources.1.dependsOn.0", "[resourceId('Test.Widgets/widgetMakers', 'hp1')]").
		is("template.resources.2", nil)
	f.do("POST", homeGroup+"/moveResources"+v21, `{"resources":[]}`).want(400, "ResourceMoveNotSupported")
}

func TestDiagnosticSettingsAreKeptAsTheyAreSent(t *testing.T) {
	f := newService(t)
	f.group("rg1")
	f.maker("hp1")
	setting := makers + "/hp1/providers/Microsoft.Insights/diagnosticSettings/logs?api-version=2017-05-01-preview"
	f.do("PUT", setting, `{"properties":{"workspaceId":"w","logs":[{"category":"Error","enabled":true}]}}`).want(200).
		is("properties.logs.0.category", "Error").is("type", "Microsoft.Insights/diagnosticSettings")
	f.do("GET", setting, nil).want(200).is("properties.workspaceId", "w")
	f.do("GET", makers+"/hp1/providers/Microsoft.Insights/diagnosticSettings?api-version=2017-05-01-preview", nil).want(200).is("value.0.name", "logs")
	f.do("DELETE", setting, nil).want(200)
}
