package server

import (
	"context"
	"time"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/connect"
)

// connectionsFor is how long the records of connections are kept.
const connectionsFor = 30 * 24 * time.Hour

// openConnect makes whoever brings users to their desktops; its slots follow the hosts
// from serve on.
func (s *service) openConnect(context.Context) error {
	key, err := signingKey(s.config.keysFolder(), "connect")
	if err != nil {
		return err
	}
	s.connect, err = connect.New(connect.Options{
		Store: s.store, Fleet: s.agents, Dialer: s.agents, Access: s.roles, People: s.identity, Machines: s.provision,
		Key: key, FileLife: s.config.FileLife, Registry: s.registry, Now: s.now, Log: s.log,
	})
	if err != nil {
		return err
	}
	s.follows.Store(s.connect)
	s.agents.OnSessions(s.connect.SessionsChanged)
	s.agents.OnConnections(s.connect.Seen)
	return nil
}

// storeChanged passes on what the store wrote. Before the connections are opened nobody
// remembers rows.
func (s *service) storeChanged(ids []arm.ResourceID) {
	if c := s.follows.Load(); c != nil {
		c.Changed(ids)
	}
	if m := s.tells.Load(); m != nil {
		m.Changed(ids)
	}
}

// pruneConnections removes the records that nobody has to keep any longer.
func (s *service) pruneConnections(ctx context.Context) {
	n, err := s.store.PruneConnections(ctx, s.now().Add(-connectionsFor))
	if err != nil && ctx.Err() == nil {
		s.log.Error("records of connections not pruned", "err", err)
	}
	if n > 0 {
		s.log.Info("records of connections pruned", "connections", n)
	}
}
