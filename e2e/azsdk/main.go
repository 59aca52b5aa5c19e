// Azsdk runs Microsoft's Go SDK (azidentity, azcore, armresources), unmodified,
// against a running Deskyard. DESKYARD_BOOTSTRAP names the file that `deskyard serve
// --bootstrap` wrote; its CA must be trusted through SSL_CERT_FILE.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
)

const (
	version = "2024-04-03"     // of Microsoft.DesktopVirtualization
	stepFor = 30 * time.Second // bounds one step
)

type bootstrap struct {
	Endpoint, TenantID, SubscriptionID, ClientID, ClientSecret string
}

// run counts steps; a failed one does not end the others.
type run struct{ passed, failed int }

func (r *run) step(name string, work func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), stepFor)
	defer cancel()
	if err := work(ctx); err != nil {
		r.failed++
		fmt.Printf("FAIL  %s: %s\n", name, strings.Join(strings.Fields(err.Error()), " "))
		return
	}
	r.passed++
	fmt.Printf("ok    %s\n", name)
}

func main() {
	boot, err := readBootstrap(os.Getenv("DESKYARD_BOOTSTRAP"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "azsdk:", err)
		os.Exit(2)
	}
	var r run
	for _, login := range []struct {
		name, tenant     string
		disableDiscovery bool
	}{
		{"entra", boot.TenantID, true},
		{"adfs", "adfs", false},
	} {
		if err := story(&r, login.name, boot, login.tenant, login.disableDiscovery); err != nil {
			r.failed++
			fmt.Printf("FAIL  [%s] make the clients: %v\n", login.name, err)
		}
	}
	fmt.Printf("Microsoft's Go SDK: %d passed, %d failed\n", r.passed, r.failed)
	if r.failed > 0 {
		os.Exit(1)
	}
}

func readBootstrap(path string) (bootstrap, error) {
	var b bootstrap
	raw, err := os.ReadFile(path)
	if err != nil {
		return b, fmt.Errorf("read the bootstrap file: %w", err)
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		return b, fmt.Errorf("read %s: %w", path, err)
	}
	return b, nil
}

// story is what one login does: a group, a pool and its key through the generic
// resource client, tags, and everything away again.
func story(r *run, name string, boot bootstrap, tenant string, disableDiscovery bool) error {
	options := azcore.ClientOptions{Cloud: cloud.Configuration{
		ActiveDirectoryAuthorityHost: boot.Endpoint,
		Services:                     map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {Endpoint: boot.Endpoint, Audience: boot.Endpoint + "/"}},
	}}
	credential, err := azidentity.NewClientSecretCredential(tenant, boot.ClientID, boot.ClientSecret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: disableDiscovery})
	if err != nil {
		return err
	}
	factory, err := armresources.NewClientFactory(boot.SubscriptionID, credential, &arm.ClientOptions{ClientOptions: options})
	if err != nil {
		return err
	}
	rg := "go-" + name
	groups(r, name, factory, rg)
	resources(r, name, factory, "/subscriptions/"+boot.SubscriptionID+"/resourceGroups/"+rg+"/providers/Microsoft.DesktopVirtualization/hostPools/hp1")
	r.step("["+name+"] ResourceGroups.BeginDelete", func(ctx context.Context) error {
		poller, err := factory.NewResourceGroupsClient().BeginDelete(ctx, rg, nil)
		if err != nil {
			return err
		}
		_, err = poller.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: time.Second})
		return err
	})
	return nil
}

func groups(r *run, name string, factory *armresources.ClientFactory, rg string) {
	client := factory.NewResourceGroupsClient()
	r.step("["+name+"] ResourceGroups.CreateOrUpdate", func(ctx context.Context) error {
		_, err := client.CreateOrUpdate(ctx, rg, armresources.ResourceGroup{Location: to.Ptr("local")}, nil)
		return err
	})
	r.step("["+name+"] ResourceGroups.CheckExistence", func(ctx context.Context) error {
		answer, err := client.CheckExistence(ctx, rg, nil)
		if err == nil && !answer.Success {
			err = errors.New("the group is said not to be there")
		}
		return err
	})
	r.step("["+name+"] ResourceGroups.List", func(ctx context.Context) error {
		pager := client.NewListPager(nil)
		for pager.More() {
			page, err := pager.NextPage(ctx)
			if err != nil {
				return err
			}
			for _, g := range page.Value {
				if *g.Name == rg {
					return nil
				}
			}
		}
		return errors.New("the group is not listed")
	})
	r.step("["+name+"] Providers.Get", func(ctx context.Context) error {
		answer, err := factory.NewProvidersClient().Get(ctx, "Microsoft.DesktopVirtualization", nil)
		if err == nil && *answer.RegistrationState != "Registered" {
			err = fmt.Errorf("the provider is %s", *answer.RegistrationState)
		}
		return err
	})
}

func resources(r *run, name string, factory *armresources.ClientFactory, pool string) {
	client := factory.NewClient()
	r.step("["+name+"] Resources.BeginCreateOrUpdateByID", func(ctx context.Context) error {
		poller, err := client.BeginCreateOrUpdateByID(ctx, pool, version, armresources.GenericResource{
			Location:   to.Ptr("local"),
			Properties: map[string]any{"hostPoolType": "Pooled", "loadBalancerType": "BreadthFirst", "preferredAppGroupType": "Desktop"},
		}, nil)
		if err != nil {
			return err
		}
		_, err = poller.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: time.Second})
		return err
	})
	r.step("["+name+"] Resources.GetByID", func(ctx context.Context) error {
		answer, err := client.GetByID(ctx, pool, version, nil)
		if err != nil {
			return err
		}
		if p, _ := answer.Properties.(map[string]any); p["hostPoolType"] != "Pooled" {
			return fmt.Errorf("not what was stored: %v", answer.Properties)
		}
		return nil
	})
	r.step("["+name+"] Resources.CheckExistenceByID", func(ctx context.Context) error {
		answer, err := client.CheckExistenceByID(ctx, pool, version, nil)
		if err == nil && !answer.Success {
			err = errors.New("the pool is said not to be there")
		}
		return err
	})
	r.step("["+name+"] Tags.CreateOrUpdateAtScope", func(ctx context.Context) error {
		_, err := factory.NewTagsClient().CreateOrUpdateAtScope(ctx, pool,
			armresources.TagsResource{Properties: &armresources.Tags{Tags: map[string]*string{"env": to.Ptr("go")}}}, nil)
		return err
	})
	r.step("["+name+"] Resources.BeginDeleteByID", func(ctx context.Context) error {
		poller, err := client.BeginDeleteByID(ctx, pool, version, nil)
		if err != nil {
			return err
		}
		_, err = poller.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: time.Second})
		return err
	})
	r.step("["+name+"] Resources.GetByID of none", func(ctx context.Context) error {
		_, err := client.GetByID(ctx, pool, version, nil)
		var answer *azcore.ResponseError
		if !errors.As(err, &answer) || answer.StatusCode != 404 || answer.ErrorCode != "ResourceNotFound" {
			return fmt.Errorf("wanted 404 ResourceNotFound, got %v", err)
		}
		return nil
	})
}
