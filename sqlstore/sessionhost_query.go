package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

const hostColumns = `select doc, version from session_hosts`

// SessionHost implements deskyard.Reader.
func (q queries) SessionHost(ctx context.Context, id arm.ResourceID) (deskyard.SessionHost, error) {
	key := id.Key()
	if !storable(key) {
		return deskyard.SessionHost{}, arm.NotFound(id)
	}
	found, err := q.hosts(ctx, hostColumns+` where key = $1`, key)
	if err != nil {
		return deskyard.SessionHost{}, fmt.Errorf("read session host %s: %w", id, err)
	}
	if len(found) == 0 {
		return deskyard.SessionHost{}, arm.NotFound(id)
	}
	return found[0], nil
}

// SessionHostByObjectID implements deskyard.Reader; the id's case does not matter.
func (q queries) SessionHostByObjectID(ctx context.Context, objectID string) (deskyard.SessionHost, error) {
	missing := arm.Errorf(arm.Missing, "SessionHostNotFound", "No session host has the object id '%s'.", cleaned(objectID))
	if !storable(objectID) {
		return deskyard.SessionHost{}, missing
	}
	found, err := q.hosts(ctx, hostColumns+` where object_id = $1`, strings.ToLower(objectID))
	if err != nil {
		return deskyard.SessionHost{}, fmt.Errorf("read session host by object id %s: %w", objectID, err)
	}
	if len(found) == 0 {
		return deskyard.SessionHost{}, missing
	}
	return found[0], nil
}

// SessionHosts implements deskyard.Reader.
func (q queries) SessionHosts(ctx context.Context, h deskyard.HostQuery) (deskyard.Page[deskyard.SessionHost], error) {
	var page deskyard.Page[deskyard.SessionHost]
	scope := h.Scope
	l := selecting(hostColumns)
	if !h.Pool.IsZero() {
		scope = h.Pool
		l.where("pool_key = ?", h.Pool.Key())
	}
	if !storable(scope.Key()) || !storable(h.After) {
		return page, nil // nothing stored can match it
	}
	l.keyRange(scope, h.After, h.Descending)
	l.page(direction(h.Descending), h.Skip, h.Limit)
	var err error
	if page.Items, err = q.hosts(ctx, l.text.String(), l.args...); err != nil {
		return deskyard.Page[deskyard.SessionHost]{}, fmt.Errorf("list session hosts below %s: %w", scope, err)
	}
	page.Items, page.Next = cut(page.Items, h.Limit, func(h deskyard.SessionHost) string { return h.ID.Key() })
	return page, nil
}

// CountSessionHosts implements deskyard.Reader.
func (q queries) CountSessionHosts(ctx context.Context, pool arm.ResourceID) (int, error) {
	key := pool.Key()
	if !storable(key) {
		return 0, nil
	}
	var n int
	if err := q.one(ctx, `select count(*) from session_hosts where pool_key = $1`, []any{key}, &n); err != nil {
		return 0, fmt.Errorf("count session hosts of %s: %w", pool, err)
	}
	return n, nil
}

// PutSessionHost implements deskyard.Tx. An object id that another host has is an
// arm.Conflicting error.
func (t *transaction) PutSessionHost(ctx context.Context, h deskyard.SessionHost) (deskyard.SessionHost, error) {
	t.changed = append(t.changed, h.ID)
	key := h.ID.Key()
	doc, err := json.Marshal(h)
	if err != nil {
		return deskyard.SessionHost{}, fmt.Errorf("encode session host %s: %w", h.ID, err)
	}
	if !storable(h.ID.String()) || !storable(h.ObjectID) || len(h.ID.Segments) < 2 || 2*len(key) > longestIndexed {
		return deskyard.SessionHost{}, arm.Errorf(arm.Invalid, "InvalidResourceName", "The session host id %q cannot be stored.", h.ID)
	}
	objectID := strings.ToLower(h.ObjectID)
	var changed int64
	if h.Version == 0 {
		changed, err = t.run.exec(ctx, `insert into session_hosts (key, object_id, pool_key, doc, version)
			values ($1, $2, $3, $4, 1) on conflict do nothing`, key, objectID, h.ID.Parent().Key(), string(doc))
	} else {
		changed, err = t.updateHost(ctx, key, objectID, string(doc), h.Version)
	}
	if err != nil {
		return deskyard.SessionHost{}, fmt.Errorf("write session host %s: %w", h.ID, err)
	}
	if changed == 0 {
		return deskyard.SessionHost{}, t.hostRefusal(ctx, h)
	}
	h.Version++
	return h, nil
}

// updateHost replaces a host's document. Nearly always the object id stays, and its
// index is left alone.
func (t *transaction) updateHost(ctx context.Context, key, objectID, doc string, version int64) (int64, error) {
	changed, err := t.run.exec(ctx, `update session_hosts set doc = $2, version = version + 1
		where key = $1 and version = $3 and object_id = $4`, key, doc, version, objectID)
	if err != nil || changed > 0 {
		return changed, err
	}
	return t.run.exec(ctx, `update session_hosts set doc = $2, version = version + 1, object_id = $4
		where key = $1 and version = $3
		and not exists (select 1 from session_hosts o where o.object_id = $4 and o.key <> $1)`, key, doc, version, objectID)
}

// hostRefusal says why a session host was not written.
func (t *transaction) hostRefusal(ctx context.Context, h deskyard.SessionHost) error {
	var other string
	err := t.one(ctx, `select key from session_hosts where object_id = $1 and key <> $2`,
		[]any{strings.ToLower(h.ObjectID), h.ID.Key()}, &other)
	switch {
	case err == nil:
		return arm.Errorf(arm.Conflicting, "SessionHostObjectIdInUse",
			"The session host '%s' cannot have the object id %s: '%s' has it.", h.ID, h.ObjectID, other)
	case errors.Is(err, sql.ErrNoRows):
		return stale(h.ID)
	}
	return fmt.Errorf("write session host %s: %w", h.ID, err)
}

// DeleteSessionHost implements deskyard.Tx; role assignments at the host go too.
func (t *transaction) DeleteSessionHost(ctx context.Context, id arm.ResourceID) error {
	t.changed = append(t.changed, id)
	key := id.Key()
	if !storable(key) {
		return arm.NotFound(id)
	}
	gone, err := t.run.exec(ctx, `delete from session_hosts where key = $1`, key)
	if err != nil {
		return fmt.Errorf("delete session host %s: %w", id, err)
	}
	if gone == 0 {
		return arm.NotFound(id)
	}
	return t.deleteBelow(ctx, id)
}

func (q queries) hosts(ctx context.Context, text string, args ...any) ([]deskyard.SessionHost, error) {
	rows, err := q.run.query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []deskyard.SessionHost
	var doc string
	var version int64
	for rows.Next() {
		if err := rows.Scan(&doc, &version); err != nil {
			return nil, err
		}
		h, err := decodeHost(doc)
		if err != nil {
			return nil, fmt.Errorf("decode session host: %w", err)
		}
		h.Version = version
		all = append(doubled(all), h)
	}
	return all, rows.Err()
}
