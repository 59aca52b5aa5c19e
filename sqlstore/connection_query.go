package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

const connectionColumns = `select doc from connections`

// Connection implements deskyard.Reader.
func (q queries) Connection(ctx context.Context, id string) (deskyard.Connection, error) {
	missing := arm.Errorf(arm.Missing, "ConnectionNotFound",
		"There is no record of the connection '%s'. Records are kept for a limited time.", cleaned(id))
	if !storable(id) {
		return deskyard.Connection{}, missing
	}
	found, err := q.connections(ctx, connectionColumns+` where id = $1`, strings.ToLower(id))
	if err != nil {
		return deskyard.Connection{}, fmt.Errorf("read connection %s: %w", id, err)
	}
	if len(found) == 0 {
		return deskyard.Connection{}, missing
	}
	return found[0], nil
}

// Connections implements deskyard.Reader.
func (q queries) Connections(ctx context.Context, want deskyard.ConnectionQuery) (deskyard.Page[deskyard.Connection], error) {
	var page deskyard.Page[deskyard.Connection]
	if !storable(want.User + want.Host + want.Pool.Key() + want.After + want.Relayer) {
		return page, nil // nothing stored can match it
	}
	l := selecting(connectionColumns)
	if want.User != "" {
		l.where("user_key = ?", deskyard.SlotUser(want.User))
	}
	if want.Host != "" {
		l.where("host_id = ?", strings.ToLower(want.Host))
	}
	if !want.Pool.IsZero() {
		l.where("pool_key = ?", want.Pool.Key())
	}
	switch want.Relayer {
	case "":
	case deskyard.AnyRelayer:
		l.where("relayer <> ''")
	default:
		l.where("relayer = ? and relayer <> ''", want.Relayer) // the second lets the planner use the partial index
	}
	if !want.Since.IsZero() {
		l.where("id >= ?", firstID(want.Since))
	}
	if !want.Until.IsZero() {
		l.where("id < ?", firstID(want.Until))
	}
	if want.After != "" {
		l.where("id < ?", want.After)
	}
	l.page("id desc", 0, want.Limit)
	var err error
	if page.Items, err = q.connections(ctx, l.text.String(), l.args...); err != nil {
		return deskyard.Page[deskyard.Connection]{}, fmt.Errorf("list connections: %w", err)
	}
	page.Items, page.Next = cut(page.Items, want.Limit, func(c deskyard.Connection) string { return c.ID })
	return page, nil
}

func (q queries) connections(ctx context.Context, text string, args ...any) ([]deskyard.Connection, error) {
	rows, err := q.run.query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []deskyard.Connection
	for rows.Next() {
		var doc []byte
		if err := rows.Scan(&doc); err != nil {
			return nil, err
		}
		var c deskyard.Connection
		if err := json.Unmarshal(doc, &c); err != nil {
			return nil, fmt.Errorf("decode connection: %w", err)
		}
		all = append(doubled(all), c)
	}
	return all, rows.Err()
}

// PutConnection implements deskyard.Tx.
func (t *transaction) PutConnection(ctx context.Context, c deskyard.Connection) error {
	r, err := c.Record()
	if err != nil {
		return err
	}
	return t.PutConnectionRecord(ctx, r)
}

// PutConnectionRecord implements deskyard.Tx.
func (t *transaction) PutConnectionRecord(ctx context.Context, c deskyard.ConnectionRecord) error {
	doc, pool := string(c.Doc), c.Pool.Key()
	if !storable(c.ID+c.User+c.HostID+pool+c.Gateway) || !storable(doc) {
		return arm.Errorf(arm.Invalid, "InvalidConnection", "The record of connection %q cannot be stored.", c.ID)
	}
	relayer := ""
	if c.State == deskyard.ConnectionConnected && c.Ended.IsZero() {
		relayer = c.Gateway
	}
	_, err := t.run.exec(ctx, `insert into connections (id, user_key, host_id, pool_key, redeemed, relayer, doc)
		values ($1, $2, $3, $4, 0, $5, $6)
		on conflict (id) do update set host_id = excluded.host_id, relayer = excluded.relayer, doc = excluded.doc`,
		strings.ToLower(c.ID), deskyard.SlotUser(c.User), strings.ToLower(c.HostID), pool, relayer, doc)
	if err != nil {
		return fmt.Errorf("write connection %s: %w", c.ID, err)
	}
	return nil
}

// RedeemConnection implements deskyard.Tx. Looking and marking are one statement: a
// ticket shown twice at the same moment is taken once.
func (t *transaction) RedeemConnection(ctx context.Context, id string, at time.Time) error {
	if !storable(id) {
		return deskyard.ErrTicketUsed
	}
	changed, err := t.run.exec(ctx, `update connections set redeemed = $2 where id = $1 and redeemed = 0`, strings.ToLower(id), instant(at))
	if err != nil {
		return fmt.Errorf("redeem the ticket of connection %s: %w", id, err)
	}
	if changed == 0 {
		return deskyard.ErrTicketUsed
	}
	return nil
}

// firstID is below every id of a connection that began at or after an instant, and
// above those of earlier ones: the first 48 bits of a UUID of version 7 are the
// milliseconds since 1970.
func firstID(at time.Time) string {
	ms := fmt.Sprintf("%012x", max(at.UnixMilli(), 0))
	return ms[:8] + "-" + ms[8:]
}

// PruneConnections removes the records of connections that began before an instant,
// and says how many. What it did stays done when ctx ends.
func (db *DB) PruneConnections(ctx context.Context, before time.Time) (int64, error) {
	var total int64
	for {
		var n int64
		err := db.engine.write(ctx, func(ctx context.Context, tx *transaction) error {
			var err error
			n, err = tx.run.exec(ctx, `delete from connections where id in
				(select id from connections where id < $1 order by id limit $2)`, firstID(before), pruneBatch)
			return err
		})
		total += n
		if err != nil {
			return total, fmt.Errorf("prune connections: %w", err)
		}
		if n < pruneBatch {
			return total, nil
		}
	}
}
