package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/e2e/service"
)

const benchGroup, benchPool = "bench", "pool"

// seeded starts a service in dir that has a pool with count session hosts, whose
// keys come from seed.
func seeded(ctx context.Context, binary, dir string, seed []byte, count int) (*service.Service, error) {
	s, err := service.Start(ctx, service.Options{Binary: binary, Dir: dir})
	if err != nil {
		return nil, err
	}
	pool, err := makePool(ctx, s.Bootstrap)
	if err := errors.Join(err, s.Stop()); err != nil {
		return nil, err
	}
	id, err := arm.ParseID(pool.ID)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	hosts := make([]deskyard.SessionHost, count)
	for i := range hosts {
		hosts[i] = deskyard.SessionHost{
			ID: id.Child("sessionHosts", hostName(i)), ObjectID: hostObjectID(i), Pool: pool.Properties.ObjectID, AllowNewSession: true,
			Machine: hostMachine(i), PublicKey: hostKey(i, seed).Public().(ed25519.PublicKey),
			RegisteredAt: now, StatusAt: now, Report: hostReport(),
		}
	}
	if err := service.SeedHosts(ctx, service.Database(dir), hosts); err != nil {
		return nil, err
	}
	return s, s.Restart(ctx)
}

// made is what the service says of the pool.
type made struct {
	ID         string
	Properties struct{ ObjectID string }
}

func makePool(ctx context.Context, b service.Bootstrap) (made, error) {
	var m made
	c, err := service.NewClient(b)
	if err != nil {
		return m, err
	}
	if err := c.CreateGroup(ctx, benchGroup); err != nil {
		return m, err
	}
	path := poolsPath(b) + "/" + benchPool
	return m, c.Do(ctx, http.MethodPut, path, map[string]any{"location": "local", "properties": poolProperties()}, &m)
}

func poolsPath(b service.Bootstrap) string {
	return "/subscriptions/" + b.SubscriptionID + "/resourceGroups/" + benchGroup + "/providers/Microsoft.DesktopVirtualization/hostPools"
}

func poolProperties() map[string]any {
	return map[string]any{"hostPoolType": "Pooled", "loadBalancerType": "BreadthFirst", "preferredAppGroupType": "Desktop", "maxSessionLimit": 16}
}

// addressOf is the host and port of an endpoint; the name in it, localhost, may
// have addresses that the service does not listen on.
func addressOf(endpoint string) string {
	return "127.0.0.1" + endpoint[strings.LastIndexByte(endpoint, ':'):]
}
