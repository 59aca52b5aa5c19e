package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
)

// PutGrant inserts a grant; a handle or a device's code that is in use already is
// an arm.Conflicting error.
func (db *DB) PutGrant(ctx context.Context, g directory.Grant) error {
	return db.engine.write(ctx, func(ctx context.Context, tx *transaction) error {
		values, err := grantValues(g)
		if err != nil {
			return err
		}
		made, err := tx.run.exec(ctx, `insert into directory_grants (kind, hash, user_code, family, subject, app_id, expires_at, doc)
			values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing`, values...)
		if err != nil {
			return fmt.Errorf("store %s grant: %w", g.Kind, err)
		}
		if made == 0 {
			return arm.Errorf(arm.Conflicting, "GrantExists", "Another grant has the same code.")
		}
		return nil
	})
}

// Grant reads a grant by the hash of its handle.
func (db *DB) Grant(ctx context.Context, kind, hash string) (directory.Grant, error) {
	return db.grant(ctx, kind, hash)
}

// DeviceGrant reads a device code's grant by the hash of what a person types.
func (db *DB) DeviceGrant(ctx context.Context, userCodeHash string) (directory.Grant, error) {
	if userCodeHash == "" {
		return directory.Grant{}, noGrant(directory.GrantDevice)
	}
	return db.oneGrant(ctx, directory.GrantDevice, `select doc from directory_grants where user_code = $1 and user_code <> ''`,
		strings.ToLower(cleaned(userCodeHash)))
}

// UpdateGrant changes a grant.
func (db *DB) UpdateGrant(ctx context.Context, kind, hash string, f func(*directory.Grant) error) (directory.Grant, error) {
	var updated directory.Grant
	err := db.engine.write(ctx, func(ctx context.Context, tx *transaction) error {
		g, err := tx.grant(ctx, kind, hash)
		if err != nil {
			return err
		}
		was := g
		if err := f(&g); err != nil {
			return err
		}
		if g.Kind != was.Kind || g.Hash != was.Hash {
			return fmt.Errorf("update %s grant: its kind and hash must not change", kind)
		}
		values, err := grantValues(g)
		if err != nil {
			return err
		}
		if _, err := tx.run.exec(ctx, `update directory_grants set user_code = $3, family = $4, subject = $5, app_id = $6,
			expires_at = $7, doc = $8 where kind = $1 and hash = $2`, values...); err != nil {
			return fmt.Errorf("update %s grant: %w", kind, err)
		}
		updated = g
		return nil
	})
	if err != nil {
		return directory.Grant{}, err
	}
	return updated, nil
}

// DeleteGrants removes the grants that match every set field of q.
func (db *DB) DeleteGrants(ctx context.Context, q directory.GrantQuery) (int, error) {
	var n int
	err := db.engine.write(ctx, func(ctx context.Context, tx *transaction) error {
		gone, err := tx.deleteGrants(ctx, q)
		n = int(gone)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

func (t *transaction) deleteGrants(ctx context.Context, q directory.GrantQuery) (int64, error) {
	l := selecting(`delete from directory_grants`)
	for _, field := range []struct{ column, value string }{{"family", q.Family}, {"subject", q.Subject}, {"app_id", q.AppID}} {
		if field.value != "" {
			l.where(field.column+" = ?", strings.ToLower(cleaned(field.value)))
		}
	}
	if !q.ExpiredBefore.IsZero() {
		l.where("expires_at < ?", instant(q.ExpiredBefore))
	}
	if !l.more {
		return 0, nil
	}
	n, err := t.run.exec(ctx, l.text.String(), l.args...)
	if err != nil {
		return 0, fmt.Errorf("delete grants: %w", err)
	}
	return n, nil
}

func (q queries) grant(ctx context.Context, kind, hash string) (directory.Grant, error) {
	return q.oneGrant(ctx, kind, `select doc from directory_grants where kind = $1 and hash = $2`,
		cleaned(kind), strings.ToLower(cleaned(hash)))
}

func (q queries) oneGrant(ctx context.Context, kind, text string, args ...any) (directory.Grant, error) {
	var g directory.Grant
	var doc []byte
	err := q.one(ctx, text, args, &doc)
	if errors.Is(err, sql.ErrNoRows) {
		return g, noGrant(kind)
	}
	if err == nil {
		err = json.Unmarshal(doc, &g)
	}
	if err != nil {
		return directory.Grant{}, fmt.Errorf("read %s grant: %w", kind, err)
	}
	return g, nil
}

// grantValues are a grant's columns, in the order of the table.
func grantValues(g directory.Grant) ([]any, error) {
	doc, err := json.Marshal(g)
	if err != nil {
		return nil, fmt.Errorf("encode %s grant: %w", g.Kind, err)
	}
	lower := func(s string) string { return strings.ToLower(cleaned(s)) }
	return []any{cleaned(g.Kind), lower(g.Hash), lower(g.UserCode), lower(g.Family), lower(g.Subject), lower(g.AppID),
		instant(g.ExpiresAt), string(doc)}, nil
}

// noGrant does not repeat the hash: what is logged should not point at a grant.
func noGrant(kind string) *arm.Error {
	return arm.Errorf(arm.Missing, "GrantNotFound", "There is no such %s.", cleaned(kind))
}
