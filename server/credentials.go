package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/durable"
	"github.com/deskyard/deskyard/identity"
)

// BootstrapFile is the automation contract: what a program needs to use a service
// that has just started. Its members stay; others may join them.
type BootstrapFile struct {
	Endpoint       string `json:"endpoint"`
	CAFile         string `json:"caFile"`
	TenantID       string `json:"tenantId"`
	SubscriptionID string `json:"subscriptionId"`
	ClientID       string `json:"clientId"`
	ClientSecret   string `json:"clientSecret"`
	AdminUser      string `json:"adminUser"`
	AdminPassword  string `json:"adminPassword"`
}

// found makes the directory at the first start. The credentials are empty when an
// earlier start made it.
func (s *service) found(ctx context.Context) (identity.Credentials, error) {
	c, founded, err := identity.Bootstrap(ctx, s.store, identity.Foundation{
		TenantID: s.instance.TenantID, TenantName: s.config.Subscription,
		AdminID: s.instance.AdminID, AdminUPN: "admin@" + s.config.Domain,
		ClientID: s.instance.ClientID, ClientName: "deskyard-automation",
	})
	if err != nil {
		return c, err
	}
	if !founded {
		return identity.Credentials{}, nil
	}
	s.log.Info("installation founded", "tenant", c.TenantID, "subscription", s.instance.SubscriptionID, "administrator", c.AdminUPN)
	return c, nil
}

// handOver gives the first credentials to the operator, once: to the bootstrap file
// if one is asked for, else to the terminal.
func (s *service) handOver(ctx context.Context, fresh identity.Credentials) error {
	if s.config.Bootstrap == "" {
		if fresh.AdminPassword != "" {
			_, err := fmt.Fprintf(os.Stdout, "First credentials, shown only now:\n  administrator      %s  %s\n  service principal  %s  %s\n  tenant %s, subscription %s\n",
				fresh.AdminUPN, fresh.AdminPassword, fresh.ClientID, fresh.ClientSecret, s.instance.TenantID, s.instance.SubscriptionID)
			return err
		}
		return nil
	}
	file := BootstrapFile{
		ClientID: fresh.ClientID, ClientSecret: fresh.ClientSecret, AdminUser: fresh.AdminUPN, AdminPassword: fresh.AdminPassword,
	}
	if fresh.AdminPassword == "" {
		var err error
		if file, err = s.earlierCredentials(ctx); err != nil {
			return err
		}
	}
	file.Endpoint, file.CAFile = s.config.PublicURL, s.caFile()
	file.TenantID, file.SubscriptionID = s.instance.TenantID, s.instance.SubscriptionID
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the bootstrap file: %w", err)
	}
	return durable.Replace(s.config.Bootstrap, append(text, '\n'), 0o600)
}

// earlierCredentials keeps those of an existing bootstrap file of this installation,
// and issues new ones when there is none: who can start the service over its data
// folder is its owner.
func (s *service) earlierCredentials(ctx context.Context) (BootstrapFile, error) {
	var old BootstrapFile
	text, err := os.ReadFile(s.config.Bootstrap)
	switch {
	case err == nil && json.Unmarshal(text, &old) == nil && old.TenantID == s.instance.TenantID && old.ClientSecret != "":
		return old, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return old, fmt.Errorf("read the bootstrap file: %w", err)
	}
	return s.newCredentials(ctx)
}

func (s *service) newCredentials(ctx context.Context) (BootstrapFile, error) {
	var file BootstrapFile
	client, err := s.identity.ServicePrincipal(ctx, s.instance.ClientID)
	if err != nil {
		return file, fmt.Errorf("issue credentials for the bootstrap file: find the first service principal: %w", err)
	}
	_, secret, err := s.identity.AddSecret(ctx, client.ObjectID, "bootstrap", s.now().Add(identity.SecretLife))
	if err != nil {
		return file, fmt.Errorf("issue a client secret for the bootstrap file: %w", err)
	}
	admin, err := s.identity.User(ctx, s.instance.AdminID)
	if err != nil {
		return file, fmt.Errorf("issue credentials for the bootstrap file: find the first administrator: %w", err)
	}
	password, err := s.identity.SetPassword(ctx, admin.ObjectID, "")
	if err != nil {
		return file, fmt.Errorf("issue a password for the bootstrap file: %w", err)
	}
	s.log.Warn("new credentials issued for the bootstrap file", "administrator", admin.UPN, "client", client.AppID)
	err = s.audit(ctx, deskyard.AuditEvent{
		Caller: "deskyard serve --bootstrap", CallerType: "System", Action: "Microsoft.Directory/bootstrap/action", Status: 200,
		Scope: "/", Detail: "new password of " + admin.UPN + " and new secret of " + client.AppID,
	})
	return BootstrapFile{ClientID: client.AppID, ClientSecret: secret, AdminUser: admin.UPN, AdminPassword: password}, err
}

// audit writes an event that no door writes, completing what its reporter left out.
func (s *service) audit(ctx context.Context, e deskyard.AuditEvent) error {
	if e.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("name an audit event: %w", err)
		}
		e.ID = id.String()
	}
	if e.At.IsZero() {
		e.At = s.now()
	}
	return s.store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error { return tx.AppendAudit(ctx, e) })
}
