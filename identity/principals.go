package identity

import (
	"context"
	"fmt"
	"strings"

	"github.com/deskyard/deskyard/arm"
)

// Exists says what kind of object an id names (User, Group or ServicePrincipal);
// ok is false when it names none.
func (s *Service) Exists(ctx context.Context, objectID string) (kind string, ok bool, err error) {
	id := strings.ToLower(objectID)
	for _, look := range []struct {
		kind string
		find func() error
	}{
		{"User", func() error { _, err := s.store.User(ctx, id); return err }},
		{"ServicePrincipal", func() error { _, err := s.store.ServicePrincipal(ctx, id); return err }},
		{"Group", func() error { _, err := s.store.Group(ctx, id); return err }},
	} {
		switch err := look.find(); {
		case err == nil:
			return look.kind, true, nil
		case !arm.IsMissing(err):
			return "", false, fmt.Errorf("look for principal %s: %w", id, err)
		}
	}
	return "", false, nil
}

// GroupsOf gives the object ids of all groups that an object is in, directly or
// through other groups.
func (s *Service) GroupsOf(ctx context.Context, objectID string) ([]string, error) {
	return s.store.GroupsOf(ctx, strings.ToLower(objectID))
}
