package sqlstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/deskyard/deskyard"
)

const slotColumns = `select s.host_id, s.user_key, s.connection, s.state, s.since, s.due from session_slots s`

// Slots implements deskyard.Reader.
func (q queries) Slots(ctx context.Context, want deskyard.SlotQuery) ([]deskyard.Slot, error) {
	var text string
	var arg any
	switch {
	case want.Host != "":
		if !storable(want.Host) {
			return nil, nil // nothing stored can match it
		}
		text, arg = slotColumns+` where s.host_id = $1 order by s.user_key`, strings.ToLower(want.Host)
	case !want.Pool.IsZero():
		if !storable(want.Pool.Key()) {
			return nil, nil
		}
		text, arg = slotColumns+` join session_hosts h on h.object_id = s.host_id where h.pool_key = $1`, want.Pool.Key()
	default:
		text, arg = slotColumns+` where s.due > 0 and s.due <= $1 order by s.due`, instant(want.DueBy)
	}
	all, err := q.slots(ctx, text, arg)
	if err != nil {
		return nil, fmt.Errorf("read session slots: %w", err)
	}
	return all, nil
}

func (q queries) slots(ctx context.Context, text string, args ...any) ([]deskyard.Slot, error) {
	rows, err := q.run.query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []deskyard.Slot
	for rows.Next() {
		var s deskyard.Slot
		var since, due int64
		if err := rows.Scan(&s.Host, &s.User, &s.Connection, &s.State, &since, &due); err != nil {
			return nil, err
		}
		s.Since, s.Due = moment(since), moment(due)
		all = append(doubled(all), s)
	}
	return all, rows.Err()
}

// ReserveSlot implements deskyard.Tx. The count and the insert are one statement: of
// callers that come at the same moment no more get a slot than there are.
func (t *transaction) ReserveSlot(ctx context.Context, s deskyard.Slot, limit int) error {
	if !storable(s.Host + s.User + s.Connection) {
		return deskyard.ErrHostFull
	}
	changed, err := t.run.exec(ctx, `insert into session_slots (host_id, user_key, connection, state, since, due)
		select h.object_id, cast($2 as text), cast($3 as text), 'Pending', cast($4 as bigint), cast($5 as bigint)
		from session_hosts h where h.object_id = $1
		and (select count(*) from session_slots o where o.host_id = $1 and o.user_key <> $2) < cast($6 as bigint)
		on conflict (host_id, user_key) do update set connection = excluded.connection, due = excluded.due`,
		strings.ToLower(s.Host), deskyard.SlotUser(s.User), s.Connection, instant(s.Since), instant(s.Due), int64(limit))
	if err != nil {
		return fmt.Errorf("reserve a slot on host %s: %w", s.Host, err)
	}
	if changed == 0 {
		return deskyard.ErrHostFull
	}
	return nil
}

// PutSlot implements deskyard.Tx.
func (t *transaction) PutSlot(ctx context.Context, s deskyard.Slot) error {
	if !storable(s.Host + s.User + s.Connection) {
		return nil // a session under a name that no user can have holds nobody's place
	}
	_, err := t.run.exec(ctx, `insert into session_slots (host_id, user_key, connection, state, since, due)
		select h.object_id, cast($2 as text), cast($3 as text), cast($4 as text), cast($5 as bigint), cast($6 as bigint)
		from session_hosts h where h.object_id = $1
		on conflict (host_id, user_key) do update set connection = excluded.connection, state = excluded.state, due = excluded.due`,
		strings.ToLower(s.Host), deskyard.SlotUser(s.User), s.Connection, s.State, instant(s.Since), instant(s.Due))
	if err != nil {
		return fmt.Errorf("write a slot on host %s: %w", s.Host, err)
	}
	return nil
}

// ReleaseSlot implements deskyard.Tx.
func (t *transaction) ReleaseSlot(ctx context.Context, s deskyard.Slot) (bool, error) {
	if !storable(s.Host + s.User + s.Connection) {
		return false, nil
	}
	gone, err := t.run.exec(ctx, `delete from session_slots where host_id = $1 and user_key = $2 and state = $3 and connection = $4`,
		strings.ToLower(s.Host), deskyard.SlotUser(s.User), s.State, s.Connection)
	if err != nil {
		return false, fmt.Errorf("release a slot on host %s: %w", s.Host, err)
	}
	return gone > 0, nil
}
