package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/deskyard/deskyard/arm"
)

// Setting implements deskyard.Reader.
func (q queries) Setting(ctx context.Context, name string) (json.RawMessage, error) {
	var doc []byte
	err := q.one(ctx, `select doc from settings where name = $1`, []any{cleaned(name)}, &doc)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, arm.Errorf(arm.Missing, "SettingNotFound", "The setting '%s' does not exist.", name)
	}
	if err != nil {
		return nil, fmt.Errorf("read setting %s: %w", name, err)
	}
	return doc, nil
}

// PutSetting implements deskyard.Tx: it inserts or replaces by name.
func (t *transaction) PutSetting(ctx context.Context, name string, doc json.RawMessage) error {
	if !storable(name) || !json.Valid(doc) {
		return fmt.Errorf("write setting %q: name or document cannot be stored", name)
	}
	_, err := t.run.exec(ctx, `insert into settings (name, doc) values ($1, $2)
		on conflict (name) do update set doc = excluded.doc`, name, string(doc))
	if err != nil {
		return fmt.Errorf("write setting %s: %w", name, err)
	}
	return nil
}
