package armapi

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/provision"
	"github.com/deskyard/deskyard/seal"
)

const (
	deployments = homeGroup + "/providers/Microsoft.Resources/deployments"
	vDeploy     = "?api-version=2021-04-01"
)

// deployService is a management API with an engine behind it, which runs.
func deployService(t testing.TB, change ...func(*provision.Options)) (*service, *provision.Service) {
	t.Helper()
	var engine *provision.Service
	f := newService(t, func(o *Options) {
		sealer, err := seal.New(make([]byte, seal.KeySize))
		if err != nil {
			t.Fatal(err)
		}
		p := provision.Options{Store: o.Store, Seal: sealer, Owner: "owner", Log: o.Log}
		for _, c := range change {
			c(&p)
		}
		if engine, err = provision.New(p); err != nil {
			t.Fatal(err)
		}
		o.Deployments, o.Machines = engine, engine
		o.Now = time.Now
	})
	engine.Use(f.server.InProcess())
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() { defer close(done); engine.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	f.group("rg1")
	return f, engine
}

func settle(t testing.TB, e *provision.Service) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := e.Settle(ctx); err != nil {
		t.Fatal(err)
	}
}

// poolTemplate is a template as a file: with comments and a string over two lines.
const poolTemplate = `{
  // a pool and what people see of it
  "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
  "contentVersion": "1.0.0.0",
  "parameters": { "hpName": { "type": "string" }, "token": { "type": "securestring", "defaultValue": "hidden-word" } },
  "resources": [
    { "type": "Microsoft.DesktopVirtualization/applicationgroups", "apiVersion": "2024-04-03", "name": "[concat(parameters('hpName'), '-DAG')]",
      "location": "[resourceGroup().location]", "dependsOn": [ "[resourceId('Microsoft.DesktopVirtualization/hostpools', parameters('hpName'))]" ],
      "properties": { "applicationGroupType": "Desktop", "hostPoolArmPath": "[resourceId('Microsoft.DesktopVirtualization/hostpools', parameters('hpName'))]" } },
    { "type": "Microsoft.DesktopVirtualization/hostpools", "apiVersion": "2024-04-03", "name": "[parameters('hpName')]", "location": "eastus",
      "properties": { "hostPoolType": "Pooled", "loadBalancerType": "BreadthFirst", "preferredAppGroupType": "Desktop", "description": "over
 two lines" } }
  ],
  "outputs": { "group": { "type": "string", "value": "[reference(concat(parameters('hpName'), '-DAG')).hostPoolArmPath]" } }
}
`

// azBody is a deployment as az sends a file: the key not quoted, the text as it is.
func azBody(template, parameters string) string {
	return `{"properties": {"parameters": ` + parameters + `, "mode": "Incremental", template:` + template + `}}`
}

func TestAzsRequestsDeployATemplate(t *testing.T) {
	f, engine := deployService(t)
	b := azBody(poolTemplate, `{"hpName": {"value": "hp1"}}`)
	f.do("POST", deployments+"/d1/validate"+vDeploy, b).want(200).
		is("properties.provisioningState", "Succeeded").is("properties.parameters.hpName.value", "hp1").is("name", "d1").
		is("properties.parameters.token.type", "SecureString").is("properties.parameters.token.value", nil)
	f.do("HEAD", deployments+"/d1"+vDeploy, nil).want(404)
	a := f.do("PUT", homeSub+"/resourcegroups/rg1/providers/Microsoft.Resources/deployments/d1"+vDeploy, b, "x-ms-correlation-request-id", "99999999-9999-4999-8999-999999999999").
		want(201).is("properties.provisioningState", "Accepted").is("properties.mode", "Incremental").is("type", "Microsoft.Resources/deployments")
	u, err := url.Parse(a.header.Get("Azure-AsyncOperation"))
	if err != nil || u.Host != "desk.example:8443" || a.header.Get("Retry-After") != "1" {
		t.Fatalf("headers %v", a.header)
	}
	settle(t, engine)
	f.do("GET", u.Path+"?"+u.RawQuery, nil).want(200).is("status", "Succeeded")
	f.do("GET", deployments+"/d1"+vDeploy, nil).want(200).is("properties.provisioningState", "Succeeded").
		is("properties.outputs.group.type", "String").is("properties.correlationId", "99999999-9999-4999-8999-999999999999").
		is("properties.providers.0.namespace", "Microsoft.DesktopVirtualization")
	f.do("HEAD", deployments+"/d1"+vDeploy, nil).want(204)
	f.do("GET", deployments+"/"+vDeploy, nil).want(200).is("value.0.name", "d1").is("value.1", nil)
	f.do("GET", deployments+vDeploy+"&$filter="+url.QueryEscape("provisioningState eq 'Failed'"), nil).want(200).is("value", "[]")
	f.do("GET", homeSub+"/providers/Microsoft.Resources/deployments/"+vDeploy, nil).want(200).is("value", "[]")
	ops := f.do("GET", homeSub+"/resourcegroups/rg1/deployments/d1/operations"+vDeploy, nil).want(200).is("value.2.properties.provisioningState", "Succeeded")
	one := ops.get("value.0.operationId").(string)
	f.do("GET", homeSub+"/resourcegroups/rg1/deployments/d1/operations/"+one+vDeploy, nil).want(200).is("operationId", one)
	f.do("GET", deployments+"/d1/operations/"+one+vDeploy, nil).want(200).is("operationId", one)
	f.do("GET", deployments+"/d1/operations/none"+vDeploy, nil).want(404, "DeploymentOperationNotFound")
	f.do("POST", deployments+"/d1/exportTemplate"+vDeploy, nil).want(200).is("template.contentVersion", "1.0.0.0")
	f.do("POST", deployments+"/d1/cancel"+vDeploy, nil).want(409, "DeploymentCannotBeCancelled")
	f.do("GET", homeGroup+"/providers/Microsoft.DesktopVirtualization/hostpools/hp1?api-version=2024-04-03", nil).want(200).
		is("properties.description", "over\n two lines")
	f.do("PUT", deployments+"/d1"+vDeploy, b).want(200)
	settle(t, engine)
	a = f.do("DELETE", deployments+"/d1"+vDeploy, nil).want(202)
	if u, err = url.Parse(a.header.Get("Location")); err != nil {
		t.Fatal(err)
	}
	f.do("GET", u.Path+"?"+u.RawQuery, nil).want(200)
	f.do("DELETE", deployments+"/d1"+vDeploy, nil).want(204)
	f.do("GET", deployments+"/d1"+vDeploy, nil).want(404, "DeploymentNotFound")
	if strings.Contains(f.log.String(), "hidden-word") {
		t.Error("a secure parameter stands in the log")
	}
}

func TestWhatADeploymentWritesIsAuditedUnderItsCorrelation(t *testing.T) {
	f, engine := deployService(t)
	const correlation = "99999999-9999-4999-8999-999999999999"
	f.do("PUT", deployments+"/d1"+vDeploy, azBody(poolTemplate, `{"hpName": {"value": "hp1"}}`), "x-ms-correlation-request-id", correlation).want(201)
	settle(t, engine)
	log := f.do("GET", homeSub+"/providers/Microsoft.Insights/eventtypes/management/values?api-version=2015-04-01&$filter="+
		url.QueryEscape("correlationId eq '"+correlation+"'"), nil).want(200)
	for _, action := range []string{"Microsoft.DesktopVirtualization/hostpools/write", "Microsoft.DesktopVirtualization/applicationgroups/write", "Microsoft.Resources/deployments/write"} {
		if !strings.Contains(log.text, action) {
			t.Errorf("no line for %s in %s", action, log.text)
		}
	}
}

func TestADeploymentCanDoNoMoreThanItsCaller(t *testing.T) {
	f, engine := deployService(t)
	f.access.let("limited", func(action string, _ arm.ResourceID) bool {
		return !strings.EqualFold(action, "Microsoft.DesktopVirtualization/hostpools/write")
	})
	b := azBody(poolTemplate, `{"hpName": {"value": "hp1"}}`)
	f.do("PUT", deployments+"/d1"+vDeploy, b, "Authorization", "Bearer limited").want(400, "InvalidTemplateDeployment").
		is("error.details.0.code", "AuthorizationFailed")
	f.access.let("stranger", func(string, arm.ResourceID) bool { return false })
	f.do("PUT", deployments+"/d1"+vDeploy, b, "Authorization", "Bearer stranger").want(403, "AuthorizationFailed")
	settle(t, engine)
	f.do("GET", homeGroup+"/providers/Microsoft.DesktopVirtualization/hostpools/hp1?api-version=2024-04-03", nil).want(404)
}

func TestDeploymentsRefuseWhatIsWrong(t *testing.T) {
	f, _ := deployService(t)
	put := func(body string) answer { return f.do("PUT", deployments+"/d1"+vDeploy, body) }
	put("").want(400, "InvalidRequestContent")
	put(`{"properties":`).want(400, "InvalidRequestContent")
	put(`{"properties":{"mode":"Incremental"}}`).want(400, "InvalidRequestContent")
	put(azBody(poolTemplate, `{}`)).want(400, "InvalidTemplate")
	put(azBody(poolTemplate, `{"hpName":{"value":"hp1"},"more":{"value":1}}`)).want(400, "InvalidTemplate")
	put(azBody(`{"resources":[]}`, `{}`)+"x").want(400, "InvalidRequestContent")
	put(`{"properties":{"mode":"Sideways","template":{"$schema":"s","contentVersion":"1.0.0.0","resources":[]}}}`).want(400, "InvalidDeploymentMode")
	put(`{"location":"eastus","properties":{"mode":"Incremental","template":{"$schema":"s","contentVersion":"1.0.0.0","resources":[]}}}`).want(400, "InvalidDeployment")
	put(`{"properties":{"mode":"Incremental","templateLink":{"uri":"https://raw.example.com/t.json"}}}`).want(400, "InvalidContentLink")
	put(azBody(strings.Replace(poolTemplate, "BreadthFirst", "Sideways", 1), `{"hpName":{"value":"hp1"}}`)).want(400, "InvalidTemplateDeployment").
		is("error.details.0.additionalInfo.0.info.path", "resources[1]")
	f.do("PUT", homeSub+"/resourceGroups/none/providers/Microsoft.Resources/deployments/d1"+vDeploy, azBody(poolTemplate, `{"hpName":{"value":"hp1"}}`)).want(404, "ResourceGroupNotFound")
	f.do("PUT", deployments+"/a%20b"+vDeploy, azBody(poolTemplate, `{"hpName":{"value":"hp1"}}`)).want(400, "InvalidDeploymentName")
	f.do("PUT", homeGroup+"/providers/Microsoft.DesktopVirtualization/hostpools/hp1/providers/Microsoft.Resources/deployments/d1"+vDeploy, `{}`).want(404, "InvalidResourceType")
	f.do("GET", deployments+"/none"+vDeploy, nil).want(404, "DeploymentNotFound")
	f.do("GET", deployments+"/none/operations"+vDeploy, nil).want(404, "DeploymentNotFound")
	f.do("GET", deployments+"/none/operationStatuses/00000000-0000-0000-0000-000000000000"+vDeploy, nil).want(404, "OperationNotFound")
}

func TestASubscriptionDeploymentMakesGroupsAndWhatIsInThem(t *testing.T) {
	f, engine := deployService(t)
	at := homeSub + "/providers/Microsoft.Resources/deployments"
	b := `{"location":"East US","tags":{"a":"b"},"properties":{"mode":"Incremental","template":{"$schema":"https://schema.management.azure.com/schemas/2018-05-01/subscriptionDeploymentTemplate.json#","contentVersion":"1.0.0.0",
	"resources":[{"type":"Microsoft.Resources/resourceGroups","apiVersion":"2021-04-01","name":"made","location":"[deployment().location]"},
	 {"type":"Microsoft.Resources/deployments","apiVersion":"2021-04-01","name":"in","resourceGroup":"made","dependsOn":["made"],"properties":{"mode":"Incremental","template":{"$schema":"s","contentVersion":"1.0.0.0","resources":[
	  {"type":"Microsoft.DesktopVirtualization/hostPools","apiVersion":"2024-04-03","name":"hp2","location":"eastus","properties":{"hostPoolType":"Pooled","loadBalancerType":"BreadthFirst","preferredAppGroupType":"Desktop"}}]}}}]}}}`
	f.do("PUT", at+"/s1"+vDeploy, strings.Replace(b, `"location":"East US",`, "", 1)).want(400, "LocationRequired")
	f.do("PUT", at+"/s1"+vDeploy, b).want(201).is("location", "eastus").is("tags.a", "b")
	settle(t, engine)
	a := f.do("GET", at+"/s1"+vDeploy, nil).want(200)
	if a.get("properties.provisioningState") != "Succeeded" {
		t.Fatal(a.text)
	}
	f.do("GET", homeSub+"/resourceGroups/made/providers/Microsoft.DesktopVirtualization/hostpools/hp2?api-version=2024-04-03", nil).want(200)
	f.do("GET", at+"/"+vDeploy, nil).want(200).is("value.0.name", "s1").is("value.1", nil)
	f.do("GET", at+"/s1/operations"+vDeploy, nil).want(200).is("value.1.properties.provisioningState", "Succeeded")
	f.do("PUT", at+"/s1"+vDeploy, strings.Replace(b, "East US", "westus", 1)).want(400, "InvalidDeploymentLocation")
}

func TestWhatIfIsPolledAndChangesNothing(t *testing.T) {
	f, engine := deployService(t)
	b := azBody(poolTemplate, `{"hpName": {"value": "hp1"}}`)
	poll := func() answer {
		t.Helper()
		a := f.do("POST", deployments+"/d1/whatIf"+vDeploy, b).want(202)
		u, err := url.Parse(a.header.Get("Location"))
		if err != nil || u.Query().Get("api-version") == "" || a.header.Get("Retry-After") != "1" {
			t.Fatalf("headers %v", a.header)
		}
		return f.do("GET", u.Path+"?"+u.RawQuery, nil).want(200).is("status", "Succeeded")
	}
	poll().is("properties.changes.0.changeType", "Create").is("properties.changes.1.changeType", "Create")
	f.do("GET", homeGroup+"/providers/Microsoft.DesktopVirtualization/hostpools/hp1?api-version=2024-04-03", nil).want(404)
	f.do("PUT", deployments+"/d1"+vDeploy, b).want(201)
	settle(t, engine)
	poll().is("properties.changes.0.changeType", "NoChange").is("properties.changes.1.changeType", "NoChange")
}

func TestTemplateSpecsAreStoredAndDeployed(t *testing.T) {
	f, engine := deployService(t)
	spec := homeGroup + "/providers/Microsoft.Resources/templateSpecs/pools"
	const v = "?api-version=2022-02-01"
	f.do("PUT", spec+v, `{"location":"eastus","properties":{"displayName":"Pools"}}`).want(201)
	version := map[string]any{"location": "eastus", "properties": map[string]any{
		"mainTemplate":    json.RawMessage(`{"$schema":"s","contentVersion":"1.0.0.0","resources":[{"type":"Microsoft.Resources/deployments","apiVersion":"2021-04-01","name":"linked","properties":{"mode":"Incremental","templateLink":{"relativePath":"parts/pool.json"}}}]}`),
		"linkedTemplates": []any{map[string]any{"path": "parts/pool.json", "template": json.RawMessage(`{"$schema":"s","contentVersion":"1.0.0.0","resources":[{"type":"Microsoft.DesktopVirtualization/hostPools","apiVersion":"2024-04-03","name":"fromspec","location":"eastus","properties":{"hostPoolType":"Pooled","loadBalancerType":"BreadthFirst","preferredAppGroupType":"Desktop"}}]}`)}},
	}}
	f.do("PUT", spec+"/versions/1.0"+v, version).want(201)
	f.do("PUT", spec+"/versions/2.0"+v, `{"location":"eastus","properties":{"mainTemplate":"text"}}`).want(400)
	f.do("GET", spec+v+"&$expand=versions", nil).want(200).is("properties.versions.1.0", nil)
	f.do("GET", spec+"/versions"+v, nil).want(200).is("value.0.name", "1.0")
	f.do("PUT", deployments+"/d1"+vDeploy, `{"properties":{"mode":"Incremental","templateLink":{"id":"`+spec+`/versions/1.0"}}}`).want(201)
	settle(t, engine)
	if a := f.do("GET", deployments+"/d1"+vDeploy, nil).want(200); a.get("properties.provisioningState") != "Succeeded" {
		t.Fatal(a.text)
	}
	f.do("GET", homeGroup+"/providers/Microsoft.DesktopVirtualization/hostpools/fromspec?api-version=2024-04-03", nil).want(200)
	f.do("PUT", deployments+"/d2"+vDeploy, `{"properties":{"mode":"Incremental","templateLink":{"id":"`+spec+`/versions/none"}}}`).want(404, "ResourceNotFound")
}

func TestATemplatesHashIsThatOfItsMeaning(t *testing.T) {
	f, _ := deployService(t)
	at := "/providers/Microsoft.Resources/calculateTemplateHash" + vDeploy
	one := f.do("POST", at, `{"a": 1, "b": [ ]}`).want(200).is("minifiedTemplate", `{"a":1,"b":[]}`)
	f.do("POST", at, `{"a":1,"b":[]}`).want(200).is("templateHash", one.get("templateHash"))
	f.do("POST", at, `{"a":2,"b":[]}`).want(200)
}
