package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/deskyard/deskyard/history"
)

// AppendStatuses implements history.Store.
func (db *DB) AppendStatuses(ctx context.Context, all []history.Status) error {
	return db.engine.write(ctx, func(ctx context.Context, tx *transaction) error {
		for _, s := range all {
			if !storable(s.Key) {
				return fmt.Errorf("write the status of %q: it cannot be stored", s.Key)
			}
			_, err := tx.run.exec(ctx, `insert into host_statuses (key, at, status, reason)
				select key, cast($2 as bigint), $3, $4 from session_hosts where key = $1
				on conflict (key, at) do update set status = excluded.status, reason = excluded.reason`,
				s.Key, instant(s.At), cleaned(s.Status), cleaned(s.Reason))
			if err != nil {
				return fmt.Errorf("write the status of %s: %w", s.Key, err)
			}
			_, err = tx.run.exec(ctx, `delete from host_statuses where key = $1 and at <
				(select at from host_statuses where key = $1 order by at desc limit 1 offset $2)`, s.Key, history.StatusesKept-1)
			if err != nil {
				return fmt.Errorf("forget old statuses of %s: %w", s.Key, err)
			}
		}
		return nil
	})
}

// Statuses implements history.Store.
func (db *DB) Statuses(ctx context.Context, key string, limit int) ([]history.Status, error) {
	if !storable(key) {
		return nil, nil // nothing stored can match it
	}
	rows, err := db.queries.run.query(ctx, `select at, status, reason from host_statuses where key = $1 order by at desc limit $2`, key, limit)
	if err != nil {
		return nil, fmt.Errorf("read statuses of %s: %w", key, err)
	}
	defer rows.Close()
	var all []history.Status
	for rows.Next() {
		s := history.Status{Key: key}
		var at int64
		if err := rows.Scan(&at, &s.Status, &s.Reason); err != nil {
			return nil, fmt.Errorf("read statuses of %s: %w", key, err)
		}
		s.At = time.Unix(0, at).UTC()
		all = append(all, s)
	}
	return all, rows.Err()
}

// PruneStatuses implements history.Store.
func (db *DB) PruneStatuses(ctx context.Context, before time.Time) error {
	_, err := db.prune(ctx, `delete from host_statuses where (key, at) in
		(select key, at from host_statuses where at < $1 order by at limit $2)`, before)
	if err != nil {
		return fmt.Errorf("prune statuses of session hosts: %w", err)
	}
	return nil
}
