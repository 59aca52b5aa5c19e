package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

type loginCommand struct {
	options
	Endpoint         string `env:"DESKYARD_ENDPOINT" placeholder:"URL" help:"The service: https://HOST[:PORT]. Default: the one of the last login." group:"Service"`
	CAFile           string `name:"ca-file" env:"DESKYARD_CA_FILE" placeholder:"FILE" help:"Certificate of the CA that signed the service's certificate (ca.pem of its data folder)." group:"Service"`
	Pin              string `env:"DESKYARD_PIN" placeholder:"HASH" help:"base64url SHA-256 of the public key of the service's certificate or of its CA, instead of --ca-file." group:"Service"`
	Tenant           string `short:"t" env:"DESKYARD_TENANT_ID" placeholder:"ID" help:"Tenant. Needed with --service-principal." group:"Identity"`
	ServicePrincipal bool   `name:"service-principal" help:"Log in as an application instead of as a person." group:"Identity"`
	Username         string `short:"u" env:"DESKYARD_CLIENT_ID" placeholder:"ID" help:"Application id (with --service-principal)." group:"Identity"`
	PasswordFile     string `name:"password-file" placeholder:"FILE" help:"File with the application's secret, or - for stdin; else $DESKYARD_CLIENT_SECRET, else it is asked for." group:"Identity"`
}

// Run logs in and keeps what is needed to stay so.
func (c *loginCommand) Run(ctx context.Context, k *kong.Context) error {
	p, err := c.profile(k)
	if err != nil {
		return err
	}
	s, err := c.connect(k, p)
	if err != nil {
		return err
	}
	if p.ClientSecret != "" {
		_, err = s.issuer.token(ctx, p.managementScope())
	} else {
		err = s.issuer.deviceLogin(ctx, k.Stderr)
	}
	if err != nil {
		return err
	}
	token, err := s.issuer.token(ctx, p.managementScope())
	if err != nil {
		return err
	}
	who := readClaims(token)
	p.User = who.UPN
	if who.Tenant != "" {
		p.TenantID = who.Tenant
	}
	found, err := s.list(ctx, request{method: http.MethodGet, path: "/subscriptions", version: subscriptionsVersion}, 0)
	if err != nil {
		return err
	}
	if len(found) > 0 && p.SubscriptionID == "" {
		id, _ := getPath(found[0], []string{"subscriptionId"})
		p.SubscriptionID = fmt.Sprint(id)
	}
	if c.Subscription != "" {
		if p.SubscriptionID, err = s.subscriptionID(ctx); err != nil {
			return err
		}
	}
	if err := p.save(); err != nil {
		return err
	}
	if len(found) == 0 {
		fmt.Fprintln(k.Stderr, "Logged in, but without access to a subscription. An Owner can give it: deskyard role assignment create --assignee", who.ObjectID, "--role Reader")
	}
	return s.show(found, accountColumns)
}

// profile is a new profile from the flags, the bootstrap file or the last login.
func (c *loginCommand) profile(k *kong.Context) (*profile, error) {
	path, err := profilePath()
	if err != nil {
		return nil, err
	}
	if c.Bootstrap != "" {
		p, err := readBootstrap(c.Bootstrap)
		if err == nil {
			p.path = path
		}
		return p, err
	}
	p := &profile{Endpoint: c.Endpoint, CAFile: c.CAFile, Pin: c.Pin, TenantID: c.Tenant, path: path, source: path, now: time.Now}
	if p.Endpoint == "" {
		last, err := readProfile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, usagef("give the service's --endpoint")
		}
		if err != nil {
			return nil, err
		}
		p.Endpoint, p.CAFile, p.Pin = last.Endpoint, last.CAFile, last.Pin
		if p.TenantID == "" {
			p.TenantID = last.TenantID
		}
	}
	if p.CAFile != "" { // the profile is read from other folders, too
		if p.CAFile, err = filepath.Abs(p.CAFile); err != nil {
			return nil, fmt.Errorf("find the CA's certificate: %w", err)
		}
	}
	if !c.ServicePrincipal {
		p.ClientID = cliAppID
		return p, nil
	}
	if c.Username == "" || p.TenantID == "" {
		return nil, usagef("--service-principal needs --username and --tenant")
	}
	p.ClientID = c.Username
	if p.ClientSecret = os.Getenv("DESKYARD_CLIENT_SECRET"); p.ClientSecret == "" || c.PasswordFile != "" {
		if p.ClientSecret, err = readSecret(k.Stderr, c.PasswordFile, "Secret of "+c.Username); err != nil {
			return nil, err
		}
	}
	return p, nil
}

type logoutCommand struct{}

// Run forgets the login.
func (logoutCommand) Run() error {
	path, err := profilePath()
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the login: %w", err)
	}
	return nil
}

var accountColumns = cols("Name=displayName", "SubscriptionId", "TenantId", "State")

type accountCommands struct {
	Show  accountShow  `cmd:"" help:"Show who is logged in, where, and how that is known."`
	List  accountList  `cmd:"" help:"List the subscriptions of the login."`
	Set   accountSet   `cmd:"" help:"Choose the subscription to work in."`
	Token accountToken `cmd:"" name:"get-access-token" help:"Print an access token for other tools."`
}

type accountShow struct{ options }

// Run shows the login; it asks the service for nothing but a token.
func (c *accountShow) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		token, err := s.issuer.token(ctx, s.profile.managementScope())
		if err != nil {
			return err
		}
		who := readClaims(token)
		name, kind := who.UPN, "user"
		if s.profile.ClientSecret != "" {
			name, kind = s.profile.ClientID, "servicePrincipal"
		}
		return s.out.print(map[string]any{
			"endpoint": s.profile.Endpoint, "tenantId": s.profile.TenantID, "id": s.profile.SubscriptionID,
			"user": map[string]any{"name": name, "type": kind, "objectId": who.ObjectID}, "source": s.profile.source,
		}, cols("Endpoint", "User=user.name", "Subscription=id", "TenantId", "Source"))
	})
}

type accountList struct{ options }

// Run lists subscriptions.
func (c *accountList) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		return s.printList(ctx, request{method: http.MethodGet, path: "/subscriptions", version: subscriptionsVersion}, 0, accountColumns)
	})
}

type accountSet struct{ options }

// Run keeps the choice.
func (c *accountSet) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		if c.Subscription == "" {
			return usagef("give --subscription")
		}
		if s.profile.path == "" {
			return usagef("only a login has a subscription to set; this one is from %s", s.profile.source)
		}
		id, err := s.subscriptionID(ctx)
		if err != nil {
			return err
		}
		s.profile.SubscriptionID, s.profile.changed = id, true
		return nil
	})
}

type accountToken struct {
	options
	Resource choice `default:"management" choices:"management,graph" placeholder:"WHAT" help:"What the token is for: management or graph." group:"Resource"`
}

// Run prints a token.
func (c *accountToken) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		scope := s.profile.managementScope()
		if c.Resource == "graph" {
			scope = s.profile.graphScope()
		}
		token, err := s.issuer.token(ctx, scope)
		if err != nil {
			return err
		}
		return s.out.print(map[string]any{
			"accessToken": token, "tokenType": "Bearer", "tenant": s.profile.TenantID, "subscription": s.profile.SubscriptionID,
		}, cols("AccessToken"))
	})
}

type restCommand struct {
	options
	Method  choice `short:"m" default:"GET" choices:"GET,PUT,PATCH,POST,DELETE,HEAD" placeholder:"METHOD" help:"HTTP method." group:"Request"`
	URL     string `short:"u" aliases:"uri" required:"" placeholder:"URL" help:"Path at the service, with api-version; {subscription} stands for the subscription's id." group:"Request"`
	Body    string `short:"b" placeholder:"JSON" help:"Body as JSON, or @FILE." group:"Request"`
	NoWait  bool   `name:"no-wait" help:"Do not wait for the end of an operation." group:"Request"`
	Flatten bool   `help:"Show members of properties beside the others, as other commands do." group:"Request"`
}

// Run sends the request.
func (c *restCommand) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		path := c.URL
		if strings.Contains(path, "{subscription}") || strings.Contains(path, "{subscriptionId}") {
			sub, err := s.subscriptionID(ctx)
			if err != nil {
				return err
			}
			path = strings.NewReplacer("{subscription}", sub, "{subscriptionId}", sub).Replace(path)
		}
		r := request{method: string(c.Method), path: path}
		r.graph = strings.HasPrefix(strings.TrimPrefix(path, s.profile.Endpoint), "/graph/")
		if c.Body != "" {
			body, err := jsonObject("body", c.Body)
			if err != nil {
				return err
			}
			r.body = body
		}
		s.noWait = c.NoWait
		resp, err := s.do(ctx, r)
		if err != nil {
			return err
		}
		if c.Flatten {
			return s.show(resp.body, nil)
		}
		return s.out.print(resp.body, nil)
	})
}
