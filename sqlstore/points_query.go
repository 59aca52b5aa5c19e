package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/history"
)

// pointsTables are the table of a kind's points, and the one that its subjects stand in.
var pointsTables = map[history.Kind][2]string{
	history.Hosts: {"host_points", "session_hosts"},
	history.Pools: {"pool_points", "resources"},
}

// AppendPoints implements history.Store.
func (db *DB) AppendPoints(ctx context.Context, chunks []history.Chunk) error {
	return db.engine.write(ctx, func(ctx context.Context, tx *transaction) error {
		for _, c := range chunks {
			tables, known := pointsTables[c.Kind]
			if !known || !storable(c.Key) || !storable(c.Points) {
				return fmt.Errorf("write points of %q: they cannot be stored", c.Key)
			}
			_, err := tx.run.exec(ctx, `insert into `+tables[0]+` (key, step, since, points)
				select key, cast($2 as bigint), cast($3 as bigint), $4 from `+tables[1]+` where key = $1
				on conflict (key, step, since) do update set points = `+tables[0]+`.points || excluded.points`,
				c.Key, int64(c.Step), instant(c.Since), c.Points)
			if err != nil {
				return fmt.Errorf("write points of %s: %w", c.Key, err)
			}
		}
		return nil
	})
}

// Points implements history.Store.
func (db *DB) Points(ctx context.Context, k history.Kind, key string, s history.Step, since, until time.Time) ([]history.Chunk, error) {
	if !storable(key) {
		return nil, nil // nothing stored can match it
	}
	return db.points(ctx, k, s, ` where key = $1 and step = $2 and since >= $3 and since < $4 order by since`, key, int64(s), instant(since), instant(until))
}

// PointsOfAll implements history.Store.
func (db *DB) PointsOfAll(ctx context.Context, k history.Kind, s history.Step, since time.Time, after string, limit int) ([]history.Chunk, error) {
	return db.points(ctx, k, s, ` where key > $1 and step = $2 and since = $3 order by key limit $4`, after, int64(s), instant(since), limit)
}

func (db *DB) points(ctx context.Context, k history.Kind, s history.Step, which string, args ...any) ([]history.Chunk, error) {
	rows, err := db.queries.run.query(ctx, `select key, since, points from `+pointsTables[k][0]+which, args...)
	if err != nil {
		return nil, fmt.Errorf("read points of %ss: %w", k, err)
	}
	defer rows.Close()
	var all []history.Chunk
	for rows.Next() {
		c := history.Chunk{Kind: k, Step: s}
		var since int64
		if err := rows.Scan(&c.Key, &since, &c.Points); err != nil {
			return nil, fmt.Errorf("read points of %ss: %w", k, err)
		}
		c.Since = time.Unix(0, since).UTC()
		all = append(doubled(all), c)
	}
	return all, rows.Err()
}

// summedUpSetting is the setting that says which hours are summed up.
const summedUpSetting = "history.summedUp"

// SummedUp implements history.Store.
func (db *DB) SummedUp(ctx context.Context) (time.Time, error) {
	doc, err := db.Setting(ctx, summedUpSetting)
	if arm.IsMissing(err) {
		return time.Time{}, nil
	}
	var at time.Time
	if err == nil {
		err = json.Unmarshal(doc, &at)
	}
	return at, err
}

// SetSummedUp implements history.Store.
func (db *DB) SetSummedUp(ctx context.Context, before time.Time) error {
	doc, err := json.Marshal(before)
	if err != nil {
		return err
	}
	return db.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error { return tx.PutSetting(ctx, summedUpSetting, doc) })
}

// PrunePoints implements history.Store.
func (db *DB) PrunePoints(ctx context.Context, s history.Step, before time.Time) error {
	var errs []error
	for _, tables := range pointsTables {
		_, err := db.prune(ctx, fmt.Sprintf(`delete from %[1]s where (key, step, since) in
			(select key, step, since from %[1]s where step = %[2]d and since < $1 order by since limit $2)`, tables[0], int64(s)), before)
		if err != nil {
			errs = append(errs, fmt.Errorf("prune %s: %w", tables[0], err))
		}
	}
	return errors.Join(errs...)
}
