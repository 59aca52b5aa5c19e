package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

const workColumns = `select doc, version from work`

// Work implements deskyard.Reader.
func (q queries) Work(ctx context.Context, kind string, id arm.ResourceID) (deskyard.Work, error) {
	missing := arm.Errorf(arm.Missing, "WorkNotFound", "There is no %s under way for '%s'.", cleaned(kind), cleaned(id.String()))
	if !storable(id.Key()) || !storable(kind) {
		return deskyard.Work{}, missing
	}
	found, err := q.works(ctx, workColumns+` where key = $1 and kind = $2`, id.Key(), kind)
	if err != nil {
		return deskyard.Work{}, fmt.Errorf("read %s of %s: %w", kind, id, err)
	}
	if len(found) == 0 {
		return deskyard.Work{}, missing
	}
	return found[0], nil
}

// Works implements deskyard.Reader.
func (q queries) Works(ctx context.Context, w deskyard.WorkQuery) (deskyard.Page[deskyard.Work], error) {
	var page deskyard.Page[deskyard.Work]
	if !storable(w.Scope.Key()) || !storable(w.Kind) || !storable(w.After) {
		return page, nil // nothing stored can match it
	}
	l := selecting(workColumns)
	if w.Kind != "" {
		l.where("kind = ?", w.Kind)
	}
	if !w.DueBy.IsZero() {
		l.where("due > 0")
		l.where("due <= ?", instant(w.DueBy))
		l.page("due, key, kind", 0, w.Limit)
	} else {
		if !w.Scope.IsZero() {
			from, to := below(w.Scope)
			l.where("(key = ? or (key > ? and key < ?))", w.Scope.Key(), from, to)
		}
		if w.After != "" {
			l.where("key || ' ' || kind > ?", w.After)
		}
		l.page("key, kind", 0, w.Limit)
	}
	var err error
	if page.Items, err = q.works(ctx, l.text.String(), l.args...); err != nil {
		return deskyard.Page[deskyard.Work]{}, fmt.Errorf("list work below %s: %w", w.Scope, err)
	}
	page.Items, page.Next = cut(page.Items, w.Limit, func(w deskyard.Work) string { return w.ID.Key() + " " + w.Kind })
	return page, nil
}

// NextWork implements deskyard.Reader.
func (q queries) NextWork(ctx context.Context) (time.Time, error) {
	var due int64
	if err := q.one(ctx, `select coalesce(min(due), 0) from work where due > 0`, nil, &due); err != nil {
		return time.Time{}, fmt.Errorf("look for the next work: %w", err)
	}
	return moment(due), nil
}

func (q queries) works(ctx context.Context, text string, args ...any) ([]deskyard.Work, error) {
	rows, err := q.run.query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []deskyard.Work
	for rows.Next() {
		var doc []byte
		var version int64
		if err := rows.Scan(&doc, &version); err != nil {
			return nil, err
		}
		var w deskyard.Work
		if err := json.Unmarshal(doc, &w); err != nil {
			return nil, fmt.Errorf("decode work: %w", err)
		}
		w.Version = version
		all = append(doubled(all), w)
	}
	return all, rows.Err()
}

// PutWork implements deskyard.Tx.
func (t *transaction) PutWork(ctx context.Context, w deskyard.Work) (deskyard.Work, error) {
	key := w.ID.Key()
	doc, err := json.Marshal(w)
	if err != nil {
		return w, fmt.Errorf("encode %s of %s: %w", w.Kind, w.ID, err)
	}
	if w.Kind == "" || !storable(w.ID.String()+w.Kind+string(doc)) || len(key) > longestIndexed {
		return w, arm.Errorf(arm.Invalid, "InvalidWork", "The work %q of %q cannot be stored.", w.Kind, w.ID)
	}
	var changed int64
	if w.Version == 0 {
		changed, err = t.run.exec(ctx, `insert into work (key, kind, due, doc, version) values ($1, $2, $3, $4, 1)
			on conflict do nothing`, key, w.Kind, instant(w.Due), string(doc))
	} else {
		changed, err = t.run.exec(ctx, `update work set due = $3, doc = $4, version = version + 1
			where key = $1 and kind = $2 and version = $5`, key, w.Kind, instant(w.Due), string(doc), w.Version)
	}
	if err != nil {
		return w, fmt.Errorf("write %s of %s: %w", w.Kind, w.ID, err)
	}
	if changed == 0 {
		return w, stale(w.ID)
	}
	w.Version++
	return w, nil
}

// DeleteWork implements deskyard.Tx.
func (t *transaction) DeleteWork(ctx context.Context, kind string, id arm.ResourceID) error {
	if !storable(id.Key()) || !storable(kind) {
		return nil
	}
	if _, err := t.run.exec(ctx, `delete from work where key = $1 and kind = $2`, id.Key(), kind); err != nil {
		return fmt.Errorf("delete %s of %s: %w", kind, id, err)
	}
	return nil
}
