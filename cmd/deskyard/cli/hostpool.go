package cli

import (
	"context"
	"fmt"

	"github.com/alecthomas/kong"
)

var hostPools = kind{
	collection: "hostPools", version: desktopVersion,
	columns: cols("Name", "ResourceGroup", "Location", "Type=hostPoolType", "LoadBalancer=loadBalancerType", "MaxSessions=maxSessionLimit"),
}

type hostPoolCommands struct {
	Create    hostPoolCreate `cmd:"" help:"Create a host pool, or replace one."`
	Update    hostPoolUpdate `cmd:"" help:"Change a host pool; with --registration-info, generate or delete its registration key."`
	Show      hostPoolShow   `cmd:"" help:"Show a host pool."`
	List      hostPoolList   `cmd:"" help:"List host pools of a group, or of the subscription."`
	Delete    hostPoolDelete `cmd:"" help:"Delete a host pool."`
	Retrieve  hostPoolToken  `cmd:"" name:"retrieve-registration-token" help:"Show the registration key while it is valid."`
	ListKeys  hostPoolKeys   `cmd:"" name:"list-registration-keys" help:"List all keys, and which hosts each enrolled; a Deskyard extension."`
	RevokeKey hostPoolRevoke `cmd:"" name:"revoke-registration-key" help:"Revoke a key, and with --revoke-hosts the hosts it enrolled; a Deskyard extension."`
}

// hostPoolArguments are what create and update can set.
type hostPoolArguments struct {
	CustomRDPProperty *string `name:"custom-rdp-property" placeholder:"TEXT" help:"RDP properties, as in audiomode:i:0;..." group:"Properties"`
	Description       *string `placeholder:"TEXT" help:"Description." group:"Properties"`
	FriendlyName      *string `placeholder:"TEXT" help:"Display name." group:"Properties"`
	MaxSessionLimit   *int    `placeholder:"N" help:"Sessions a host takes at most." group:"Properties"`
	Assignment        choice  `name:"personal-desktop-assignment-type" choices:"Automatic,Direct" placeholder:"TYPE" help:"Automatic or Direct (Personal pools)." group:"Properties"`
	RegistrationInfo  words   `placeholder:"NAME=VALUE" help:"expiration-time=TIME registration-token-operation=Update generates a key; =Delete revokes it." group:"Properties"`
	Ring              *int    `placeholder:"N" help:"Ring number." group:"Properties"`
	SSOClientID       *string `name:"sso-client-id" placeholder:"ID" help:"Client id of single sign-on." group:"Properties"`
	SSOSecretPath     *string `name:"sso-client-secret-key-vault-path" short:"p" placeholder:"URL" help:"Key vault path of its secret." group:"Properties"`
	SSOSecretType     choice  `name:"sso-secret-type" choices:"Certificate,CertificateInKeyVault,SharedKey,SharedKeyInKeyVault" placeholder:"TYPE" help:"Kind of its secret." group:"Properties"`
	SSOAuthority      *string `name:"ssoadfs-authority" placeholder:"URL" help:"AD FS server that signs people in." group:"Properties"`
	StartVM           toggle  `name:"start-vm-on-connect" placeholder:"BOOL" help:"Start machines when somebody connects." group:"Properties"`
	Validation        toggle  `name:"validation-environment" placeholder:"BOOL" help:"Get component updates first." group:"Properties"`
	VMTemplate        *string `name:"vm-template" placeholder:"JSON" help:"What machines of the pool are like." group:"Properties"`
	Tags              words   `placeholder:"NAME=VALUE" help:"Tags; they replace those there are." group:"Properties"`
}

// properties are those that were given.
func (a *hostPoolArguments) properties() (map[string]any, error) {
	p := map[string]any{}
	property(p, "customRdpProperty", a.CustomRDPProperty)
	property(p, "description", a.Description)
	property(p, "friendlyName", a.FriendlyName)
	number(p, "maxSessionLimit", a.MaxSessionLimit)
	choose(p, "personalDesktopAssignmentType", a.Assignment)
	number(p, "ring", a.Ring)
	property(p, "ssoClientId", a.SSOClientID)
	property(p, "ssoClientSecretKeyVaultPath", a.SSOSecretPath)
	choose(p, "ssoSecretType", a.SSOSecretType)
	property(p, "ssoadfsAuthority", a.SSOAuthority)
	truth(p, "startVMOnConnect", a.StartVM)
	truth(p, "validationEnvironment", a.Validation)
	property(p, "vmTemplate", a.VMTemplate)
	return p, object(p, "registrationInfo", a.RegistrationInfo)
}

type hostPoolCreate struct {
	options
	inGroup
	hostPoolArguments
	Location     string `short:"l" placeholder:"LOCATION" help:"Location. Default: the group's." group:"Resource"`
	HostPoolType choice `required:"" choices:"BYODesktop,Personal,Pooled" placeholder:"TYPE" help:"BYODesktop, Personal or Pooled." group:"Properties"`
	LoadBalancer choice `name:"load-balancer-type" required:"" choices:"BreadthFirst,DepthFirst,Persistent,MultiplePersistent" placeholder:"TYPE" help:"BreadthFirst, DepthFirst or Persistent." group:"Properties"`
	Preferred    choice `name:"preferred-app-group-type" short:"t" required:"" choices:"Desktop,None,RailApplications" placeholder:"TYPE" help:"Desktop, None or RailApplications." group:"Properties"`
}

// Run creates the pool.
func (c *hostPoolCreate) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		path, err := c.path(ctx, s, hostPools)
		if err != nil {
			return err
		}
		props, err := c.properties()
		if err != nil {
			return err
		}
		choose(props, "hostPoolType", c.HostPoolType)
		choose(props, "loadBalancerType", c.LoadBalancer)
		choose(props, "preferredAppGroupType", c.Preferred)
		return s.create(ctx, path, hostPools, c.Location, props, c.Tags)
	})
}

// create is PUT of a resource that has a location.
func (s *session) create(ctx context.Context, path string, k kind, location string, props map[string]any, tags words) error {
	body, err := envelopeBody(props, tags)
	if err != nil {
		return err
	}
	if body["location"], err = s.locationOf(ctx, location, path); err != nil {
		return err
	}
	resp, err := s.put(ctx, path, k, body)
	if err != nil {
		return err
	}
	return s.show(resp.body, k.columns)
}

type hostPoolUpdate struct {
	options
	inGroup
	hostPoolArguments
	genericUpdate
	LoadBalancer choice `name:"load-balancer-type" choices:"BreadthFirst,DepthFirst,Persistent,MultiplePersistent" placeholder:"TYPE" help:"BreadthFirst, DepthFirst or Persistent." group:"Properties"`
	Preferred    choice `name:"preferred-app-group-type" short:"t" choices:"Desktop,None,RailApplications" placeholder:"TYPE" help:"Desktop, None or RailApplications." group:"Properties"`
}

// Run changes the pools.
func (c *hostPoolUpdate) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		props, err := c.properties()
		if err != nil {
			return err
		}
		choose(props, "loadBalancerType", c.LoadBalancer)
		choose(props, "preferredAppGroupType", c.Preferred)
		return s.updateAll(ctx, &c.inGroup, hostPools, props, c.Tags, &c.genericUpdate)
	})
}

// updateAll changes every resource that the target names in the same way.
func (s *session) updateAll(ctx context.Context, t *inGroup, k kind, props map[string]any, tags words, g *genericUpdate) error {
	patch, err := envelopeBody(props, tags)
	if err != nil {
		return err
	}
	paths, err := t.paths(ctx, s, k)
	if err != nil {
		return err
	}
	return s.each(ctx, paths, k.columns, func(path string) (response, error) { return s.update(ctx, path, k, patch, g, nil) })
}

type hostPoolShow struct {
	options
	inGroup
}

// Run shows the pools.
func (c *hostPoolShow) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error { return s.showAll(ctx, &c.inGroup, hostPools) })
}

func (s *session) showAll(ctx context.Context, t *inGroup, k kind) error {
	paths, err := t.paths(ctx, s, k)
	if err != nil {
		return err
	}
	return s.each(ctx, paths, k.columns, func(path string) (response, error) { return s.get(ctx, path, k) })
}

// listing are the arguments of a list.
type listing struct {
	ResourceGroup string `short:"g" env:"DESKYARD_GROUP" placeholder:"GROUP" help:"Resource group. Default: all of the subscription's." group:"Resource"`
	MaxItems      int    `placeholder:"N" help:"Items at most." group:"Paging"`
}

func (l *listing) print(ctx context.Context, s *session, k kind) error {
	var scope string
	var err error
	if l.ResourceGroup != "" {
		scope, err = s.group(ctx, l.ResourceGroup)
	} else if scope, err = s.subscriptionID(ctx); err == nil {
		scope = "/subscriptions/" + scope
	}
	if err != nil {
		return err
	}
	return s.printList(ctx, request{method: "GET", path: scope + desktopProvider + k.collection, version: k.version}, l.MaxItems, k.columns)
}

func (s *session) printList(ctx context.Context, r request, limit int, columns []column) error {
	items, err := s.list(ctx, r, limit)
	if err != nil {
		return err
	}
	return s.show(items, columns)
}

type hostPoolList struct {
	options
	listing
}

// Run lists pools.
func (c *hostPoolList) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error { return c.print(ctx, s, hostPools) })
}

type hostPoolDelete struct {
	options
	inGroup
	Force bool `help:"Delete the pool's session hosts with it." group:"Resource"`
	Yes   bool `short:"y" help:"Do not ask." group:"Resource"`
}

// Run deletes the pools.
func (c *hostPoolDelete) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error { return s.removeAll(ctx, &c.inGroup, hostPools, c.Yes, c.Force) })
}

func (s *session) removeAll(ctx context.Context, t *inGroup, k kind, yes, force bool) error {
	paths, err := t.paths(ctx, s, k)
	if err != nil {
		return err
	}
	if err := s.confirm(yes, fmt.Sprintf("Delete %s?", paths)); err != nil {
		return err
	}
	for _, path := range paths { // az prints nothing for a delete
		if _, err := s.remove(ctx, path, k, forceQuery(force)); err != nil {
			return err
		}
	}
	return nil
}

type hostPoolToken struct {
	options
	inGroup
}

// Run shows the pool's key.
func (c *hostPoolToken) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		return s.action(ctx, &c.inGroup, hostPools, "retrieveRegistrationToken", nil, cols("ExpirationTime", "Token"))
	})
}

// action posts to each resource and prints the answers.
func (s *session) action(ctx context.Context, t *inGroup, k kind, name string, body any, columns []column) error {
	paths, err := t.paths(ctx, s, k)
	if err != nil {
		return err
	}
	return s.each(ctx, paths, columns, func(path string) (response, error) { return s.post(ctx, path+"/"+name, k, body) })
}

type hostPoolKeys struct {
	options
	inGroup
}

// Run lists the pool's keys.
func (c *hostPoolKeys) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		path, err := c.path(ctx, s, hostPools)
		if err != nil {
			return err
		}
		resp, err := s.post(ctx, path+"/listRegistrationKeys", hostPools, nil)
		if err != nil {
			return err
		}
		keys, _ := getPath(resp.body, []string{"value"})
		return s.out.print(keys, cols("Id", "State", "CreatedAt", "CreatedBy", "ExpirationTime", "Uses", "Hosts=length(sessionHosts)"))
	})
}

type hostPoolRevoke struct {
	options
	inGroup
	KeyID       string `name:"key-id" required:"" placeholder:"ID" help:"The key's id, from list-registration-keys." group:"Resource"`
	RevokeHosts bool   `name:"revoke-hosts" help:"Revoke the session hosts that it enrolled, too." group:"Resource"`
	Yes         bool   `short:"y" help:"Do not ask." group:"Resource"`
}

// Run revokes a key.
func (c *hostPoolRevoke) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		if err := s.confirm(c.Yes, "Revoke registration key "+c.KeyID+"?"); err != nil {
			return err
		}
		body := map[string]any{"keyId": c.KeyID, "revokeHosts": c.RevokeHosts}
		return s.action(ctx, &c.inGroup, hostPools, "revokeRegistrationKey", body, cols("Id", "State", "RevokedAt", "Uses"))
	})
}
