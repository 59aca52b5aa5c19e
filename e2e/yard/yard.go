// Package yard sets a whole installation up for the demo and the end-to-end tests of
// machines: the real service with a hypervisor and an image, az logged in to it, a
// resource group, a network, a host pool and its key.
package yard

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/deskyard/deskyard/e2e/az"
	"github.com/deskyard/deskyard/e2e/service"
)

// Names of what Open makes.
const (
	Group  = "rg1"
	Pool   = "hp1"
	VNet   = "vnet1"
	Subnet = "desks"
)

// Yard is a running installation. Close ends it.
type Yard struct {
	Service *service.Service
	Client  *service.Client
	Az      *az.CLI
	Pool    service.Pool
	dir     string
	binary  string
}

// Options of Open. Binary and Dir are required.
type Options struct {
	Binary    string // bin/deskyard
	Dir       string // for everything; the caller removes it
	Arguments []string
	PoolType  string // "Pooled" when empty
	Agents    string // as in service.Options
}

// Open starts the service and makes group, network and pool.
func Open(ctx context.Context, o Options) (*Yard, error) {
	y := &Yard{dir: o.Dir, binary: o.Binary}
	var err error
	if y.Service, err = service.Start(ctx, service.Options{Binary: o.Binary, Dir: o.Dir, Arguments: o.Arguments, Agents: o.Agents}); err != nil {
		return nil, err
	}
	if err := y.furnish(ctx, o); err != nil {
		return y, err
	}
	return y, nil
}

// furnish logs az in and makes what machines need.
func (y *Yard) furnish(ctx context.Context, o Options) error {
	var err error
	if y.Client, err = service.NewClient(y.Service.Bootstrap); err != nil {
		return err
	}
	if y.Az, err = az.Login(ctx, y.Service.Bootstrap, filepath.Join(y.dir, "az")); err != nil {
		return err
	}
	y.Pool = y.Client.Pool(Group, Pool)
	if err := y.Client.CreateGroup(ctx, Group); err != nil {
		return err
	}
	// 10.0.2.2 is where QEMU's own network shows its guests the machine it runs on.
	err = y.Put(ctx, "Microsoft.Network/virtualNetworks/"+VNet, "2022-07-01", map[string]any{"location": "local", "properties": map[string]any{
		"addressSpace": map[string]any{"addressPrefixes": []string{"10.0.0.0/16"}},
		"subnets":      []any{map[string]any{"name": Subnet, "properties": map[string]any{"addressPrefix": "10.0.2.0/24"}}},
	}})
	if err != nil {
		return err
	}
	if o.PoolType == "Personal" {
		return y.Put(ctx, "Microsoft.DesktopVirtualization/hostPools/"+Pool, "2025-10-10", map[string]any{"location": "local", "properties": map[string]any{
			"hostPoolType": "Personal", "loadBalancerType": "Persistent", "preferredAppGroupType": "Desktop", "personalDesktopAssignmentType": "Automatic",
		}})
	}
	return y.Pool.Create(ctx)
}

// GroupID is the id of the resource group.
func (y *Yard) GroupID() string {
	return "/subscriptions/" + y.Service.SubscriptionID + "/resourceGroups/" + Group
}

// ID is the id of a resource in the group: "Microsoft.Compute/virtualMachines/sh-0".
func (y *Yard) ID(resource string) string { return y.GroupID() + "/providers/" + resource }

// Put makes a resource of the group.
func (y *Yard) Put(ctx context.Context, resource, version string, body any) error {
	return y.Client.Do(ctx, http.MethodPut, y.ID(resource)+"?api-version="+version, body, nil)
}

// Get reads a resource of the group.
func (y *Yard) Get(ctx context.Context, resource, version string, into any) error {
	return y.Client.Do(ctx, http.MethodGet, y.ID(resource)+"?api-version="+version, nil, into)
}

// Close stops the service.
func (y *Yard) Close() error {
	if y == nil || y.Service == nil {
		return nil
	}
	return y.Service.Stop()
}

// Operation is one line of a deployment's progress.
type Operation struct {
	Resource string // "Microsoft.Compute/virtualMachines sh-0"
	State    string
	Error    string
}

// lookEvery is how often a deployment's operations are read.
const lookEvery = 500 * time.Millisecond

// Deploy has az create a deployment from a template file and its parameters. seen, if
// not nil, is told each change of state of its operations, those of nested
// deployments too.
func (y *Yard) Deploy(ctx context.Context, name, template string, parameters map[string]any, seen func(Operation)) error {
	file, err := y.ParameterFile(name, parameters)
	if err != nil {
		return err
	}
	defer os.Remove(file)
	done := make(chan error, 1)
	go func() {
		_, err := y.Az.Run(ctx, "deployment", "group", "create", "-g", Group, "-n", name, "--template-file", template, "--parameters", "@"+file, "-o", "none")
		done <- err
	}()
	told := map[string]string{}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if seen != nil && ctx.Err() == nil {
				y.tell(ctx, y.ID("Microsoft.Resources/deployments/"+name), told, seen)
			}
			return err
		case <-tick.C:
			if seen != nil {
				y.tell(ctx, y.ID("Microsoft.Resources/deployments/"+name), told, seen)
			}
		}
	}
}

// ParameterFile writes parameters as az reads them, for this user alone: there are
// passwords among them.
func (y *Yard) ParameterFile(name string, parameters map[string]any) (string, error) {
	values := map[string]any{}
	for k, v := range parameters {
		values[k] = map[string]any{"value": v}
	}
	text, err := json.Marshal(map[string]any{
		"$schema":        "https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#",
		"contentVersion": "1.0.0.0", "parameters": values,
	})
	if err != nil {
		return "", fmt.Errorf("encode parameters: %w", err)
	}
	file := filepath.Join(y.dir, name+".parameters.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return "", fmt.Errorf("write parameters: %w", err)
	}
	return file, nil
}

// tell reads a deployment's operations, and those of deployments in it. A deployment
// that is not there yet has none; a failed look is made good by the next.
func (y *Yard) tell(ctx context.Context, id string, told map[string]string, seen func(Operation)) {
	var list struct {
		Value []struct {
			Properties struct {
				ProvisioningState string
				TargetResource    struct{ ID, ResourceName, ResourceType string }
				StatusMessage     struct {
					Error struct{ Code, Message string }
				}
			}
		}
	}
	if err := y.Client.Do(ctx, http.MethodGet, id+"/operations?api-version=2021-04-01", nil, &list); err != nil {
		return
	}
	for _, o := range list.Value {
		p := o.Properties
		if p.TargetResource.ID == "" {
			continue
		}
		if strings.EqualFold(p.TargetResource.ResourceType, "Microsoft.Resources/deployments") {
			y.tell(ctx, p.TargetResource.ID, told, seen)
		}
		if told[p.TargetResource.ID] == p.ProvisioningState {
			continue
		}
		told[p.TargetResource.ID] = p.ProvisioningState
		seen(Operation{Resource: p.TargetResource.ResourceType + " " + p.TargetResource.ResourceName, State: p.ProvisioningState, Error: p.StatusMessage.Error.Message})
	}
}
