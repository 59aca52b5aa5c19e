package template_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/template"
)

// state answers reference() with what a provider would say.
type state struct{}

func (state) Reference(_ context.Context, id arm.ResourceID, _ string, _ bool) (template.Value, error) {
	return template.ObjectOf("privateIP", template.String("10.0.0.4"), "of", template.String(id.Name())), nil
}

func (state) List(context.Context, arm.ResourceID, string, string, template.Value) (template.Value, error) {
	return template.Null(), nil
}

// A deployment from the request's bytes to its outputs.
func Example() {
	request, err := template.ReadDeployment([]byte(`{"properties": {"mode": "Incremental", "parameters": {"password": {"value": "Sw0rdfish!"}},
template:{ // pasted in by Azure CLI as it is
	"parameters": {"count": {"type": "int", "defaultValue": 2}, "password": {"type": "securestring"}},
	"resources": [
		{"type": "Microsoft.Network/networkInterfaces", "apiVersion": "2022-11-01", "name": "[format('vm-{0}-nic', copyIndex())]",
		 "copy": {"name": "nics", "count": "[parameters('count')]"}},
		{"type": "Microsoft.Compute/virtualMachines", "apiVersion": "2023-07-01", "name": "[format('vm-{0}', copyIndex())]",
		 "copy": {"name": "vms", "count": "[parameters('count')]"}, "dependsOn": ["nics"],
		 "properties": {"password": "[parameters('password')]", "ip": "[reference(format('vm-{0}-nic', copyIndex())).privateIP]"}}],
	"outputs": {"first": {"type": "string", "value": "[reference('vm-0-nic').privateIP]"}}
}}}`))
	if err != nil {
		log.Fatal(err)
	}
	t, err := template.Parse(request.Template)
	if err != nil {
		log.Fatal(err)
	}
	bound, err := template.Bind(t, request.Parameters, template.Env{
		Scope: arm.MustParseID("/subscriptions/s/resourceGroups/rg"),
		Now:   time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC),
	})
	if err != nil {
		log.Fatal(err)
	}
	plan, err := bound.Expand()
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for _, n := range plan.Nodes {
		body, err := n.Evaluate(ctx, state{})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(n.Name, "after", n.DependsOn, body) // a PUT would carry body.Reveal()
	}
	outputs, err := plan.Outputs(ctx, state{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(outputs[0].Name, outputs[0].Type, outputs[0].Value)
	// Output:
	// vm-0-nic after [] {}
	// vm-1-nic after [] {}
	// vm-0 after [0 1] {"properties":{"password":"redacted","ip":"10.0.0.4"}}
	// vm-1 after [0 1] {"properties":{"password":"redacted","ip":"10.0.0.4"}}
	// first String "10.0.0.4"
}

// An error names the line of the user's file and the function that is not one.
func ExampleParseBytes() {
	_, err := template.ParseBytes([]byte("{\n  \"resources\": [],\n  \"variables\": {\"a\": \"[concat('x', uppercase('y'))]\"}\n}"))
	fmt.Println(err)
	// Output:
	// InvalidTemplate: Deployment template validation failed: 'The template variable 'a' at line '3' and column '36' is not valid: the template function 'uppercase' is not valid. Please see https://aka.ms/arm-functions for usage details.'.
}
