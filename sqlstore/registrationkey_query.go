package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

const keyColumns = `select id, pool_id, pool, created_at, created_by, expires_at, revoked_at, uses, limits from registration_keys`

// RegistrationKey implements deskyard.Reader; the id's case does not matter.
func (q queries) RegistrationKey(ctx context.Context, keyID string) (deskyard.RegistrationKey, error) {
	if !storable(keyID) {
		return deskyard.RegistrationKey{}, noKey(keyID)
	}
	found, err := q.keys(ctx, keyColumns+` where id = $1`, strings.ToLower(keyID))
	if err != nil {
		return deskyard.RegistrationKey{}, fmt.Errorf("read registration key %s: %w", keyID, err)
	}
	if len(found) == 0 {
		return deskyard.RegistrationKey{}, noKey(keyID)
	}
	return found[0], nil
}

// RegistrationKeys implements deskyard.Reader.
func (q queries) RegistrationKeys(ctx context.Context, poolObjectID string) ([]deskyard.RegistrationKey, error) {
	if !storable(poolObjectID) {
		return nil, nil
	}
	found, err := q.keys(ctx, keyColumns+` where pool = $1 order by created_at desc, id desc`, strings.ToLower(poolObjectID))
	if err != nil {
		return nil, fmt.Errorf("list registration keys of pool %s: %w", poolObjectID, err)
	}
	return found, nil
}

// PutRegistrationKey implements deskyard.Tx: it inserts or replaces by ID, except
// that the count of uses never falls, whatever copy of the key the caller held.
func (t *transaction) PutRegistrationKey(ctx context.Context, k deskyard.RegistrationKey) error {
	limits, err := json.Marshal(k.Limits)
	if err != nil {
		return fmt.Errorf("encode limits of registration key %s: %w", k.ID, err)
	}
	if k.ID == "" || !storable(k.ID+k.PoolID.String()+k.Pool+string(limits)) {
		return arm.Errorf(arm.Invalid, "InvalidRegistrationKey", "The registration key %q cannot be stored.", k.ID)
	}
	_, err = t.run.exec(ctx, `insert into registration_keys
			(id, pool_key, pool_id, pool, created_at, created_by, expires_at, revoked_at, uses, max_uses, limits)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		on conflict (id) do update set pool_key = excluded.pool_key, pool_id = excluded.pool_id, pool = excluded.pool,
			created_at = excluded.created_at, created_by = excluded.created_by, expires_at = excluded.expires_at,
			revoked_at = excluded.revoked_at, max_uses = excluded.max_uses, limits = excluded.limits,
			uses = case when excluded.uses > registration_keys.uses then excluded.uses else registration_keys.uses end`,
		strings.ToLower(k.ID), k.PoolID.Key(), k.PoolID.String(), strings.ToLower(k.Pool), instant(k.CreatedAt), cleaned(k.CreatedBy),
		instant(k.ExpiresAt), instant(k.RevokedAt), int64(k.Uses), int64(k.Limits.MaxUses), string(limits))
	if err != nil {
		return fmt.Errorf("write registration key %s: %w", k.ID, err)
	}
	return nil
}

// UseRegistrationKey implements deskyard.Tx.
func (t *transaction) UseRegistrationKey(ctx context.Context, keyID string) error {
	if !storable(keyID) {
		return noKey(keyID)
	}
	used, err := t.run.exec(ctx, `update registration_keys set uses = uses + 1
		where id = $1 and (max_uses = 0 or uses < max_uses)`, strings.ToLower(keyID))
	if err != nil {
		return fmt.Errorf("use registration key %s: %w", keyID, err)
	}
	if used > 0 {
		return nil
	}
	if _, err := t.RegistrationKey(ctx, keyID); err != nil {
		return err
	}
	return deskyard.ErrKeyExhausted
}

func (q queries) keys(ctx context.Context, text string, args ...any) ([]deskyard.RegistrationKey, error) {
	rows, err := q.run.query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []deskyard.RegistrationKey
	for rows.Next() {
		var k deskyard.RegistrationKey
		var pool string
		var limits sql.RawBytes
		var created, expires, revoked int64
		if err := rows.Scan(&k.ID, &pool, &k.Pool, &created, &k.CreatedBy, &expires, &revoked, &k.Uses, &limits); err != nil {
			return nil, err
		}
		if k.PoolID, err = arm.ParseID(pool); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(limits, &k.Limits); err != nil {
			return nil, fmt.Errorf("decode limits of registration key %s: %w", k.ID, err)
		}
		k.CreatedAt, k.ExpiresAt, k.RevokedAt = moment(created), moment(expires), moment(revoked)
		all = append(all, k)
	}
	return all, rows.Err()
}

func noKey(id string) *arm.Error {
	return arm.Errorf(arm.Missing, "RegistrationKeyNotFound", "The registration key '%s' does not exist.", cleaned(id))
}
