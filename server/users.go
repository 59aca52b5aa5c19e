package server

import (
	"context"
	"crypto"
	"crypto/x509"
	"net/http"
	"strings"

	"github.com/deskyard/deskyard/feed"
	"github.com/deskyard/deskyard/gateway"
	"github.com/deskyard/deskyard/web"
)

// users are the doors that people come through to their desktops.
type users struct {
	gateway *gateway.Gateway
	relay   http.Handler // the gateway's paths
	broker  http.Handler // what gateways elsewhere ask
	orders  gateway.Orders
	feed    http.Handler
	web     http.Handler
}

// openUsers opens them. The gateway is the service's own; others may stand beside it.
func (s *service) openUsers(ctx context.Context) error {
	var err error
	if s.users.gateway, err = gateway.New(gateway.Options{
		Brokerage: s.connect, Name: "service", URLs: s.config.AgentURL, Origins: []string{s.config.PublicURL}, Registry: s.registry, Log: s.log,
		ClientAddress: s.proxies.Client,
	}); err != nil {
		return err
	}
	if err := s.users.gateway.Begin(ctx); err != nil { // reports mend it
		s.log.Error("records of what the last process relayed not ended; trying again in a minute", "err", err)
	}
	s.users.relay = s.users.gateway.Handler()
	s.users.broker = &gateway.BrokerDoor{Brokerage: s.connect, Who: s.gatewayOf, Renew: s.renewGateway, Orders: &s.users.orders, Log: s.log}
	s.connect.Use(&s.users)
	key, err := signingKey(s.config.keysFolder(), "feed")
	if err != nil {
		return err
	}
	door, err := feed.New(feed.Options{
		Connections: s.connect, Accounts: s.identity, PublicURL: s.config.PublicURL, Gateway: s.config.GatewayURL, Domain: s.config.Domain,
		TenantID: s.instance.TenantID, Publisher: s.config.Domain, Key: key.Seed(), Promise: s.users.gateway.Promise, Signer: s.certificates.signer, Log: s.log, Now: s.now,
	})
	if err != nil {
		return err
	}
	s.users.feed = door.Handler()
	var elsewhere []string
	for _, base := range s.config.gatewaysElsewhere() {
		elsewhere = append(elsewhere, "wss"+strings.TrimPrefix(base, "https"))
	}
	s.users.web, err = web.New(web.Options{Gateways: elsewhere})
	return err
}

// Disconnect implements connect.Relays over all gateways.
func (u *users) Disconnect(connection, reason string) bool {
	return u.gateway.Disconnect(connection, reason) || u.orders.Disconnect(connection, reason)
}

// door finds whose path it is; nil for none of theirs.
func (u *users) door(path string) http.Handler {
	switch {
	case strings.HasPrefix(path, gateway.BrokerPath):
		return u.broker
	case gateway.Owns(path):
		return u.relay
	case feed.Owns(path):
		return u.feed
	case web.Owns(path):
		return u.web
	}
	return nil
}

// signer is what connection files are signed with: what people trust the server by.
func (s *certificates) signer() (crypto.PrivateKey, []*x509.Certificate, error) {
	pair := s.public.Load()
	if pair == nil {
		pair = s.internal.Load()
	}
	var chain []*x509.Certificate
	for _, der := range pair.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, nil, err
		}
		chain = append(chain, c)
	}
	return pair.PrivateKey, chain, nil
}
