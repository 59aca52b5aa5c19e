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

// Guest implements deskyard.Reader; the id's case does not matter.
func (q queries) Guest(ctx context.Context, machineID string) (deskyard.Guest, error) {
	missing := arm.Errorf(arm.Missing, "GuestNotFound", "The service has made no machine with the id '%s'.", cleaned(machineID))
	if !storable(machineID) {
		return deskyard.Guest{}, missing
	}
	var g deskyard.Guest
	var doc []byte
	var version int64
	err := q.one(ctx, `select doc, version from guests where machine_id = $1`, []any{strings.ToLower(machineID)}, &doc, &version)
	if errors.Is(err, sql.ErrNoRows) {
		return g, missing
	}
	if err == nil {
		err = json.Unmarshal(doc, &g)
	}
	if err != nil {
		return deskyard.Guest{}, fmt.Errorf("read guest %s: %w", machineID, err)
	}
	g.Version = version
	return g, nil
}

// PutGuest implements deskyard.Tx.
func (t *transaction) PutGuest(ctx context.Context, g deskyard.Guest) (deskyard.Guest, error) {
	doc, err := json.Marshal(g)
	if err != nil {
		return g, fmt.Errorf("encode guest %s: %w", g.MachineID, err)
	}
	if g.MachineID == "" || !storable(g.MachineID+string(doc)) || len(g.MachineID) > longestIndexed {
		return g, arm.Errorf(arm.Invalid, "InvalidGuest", "The guest %q cannot be stored.", g.MachineID)
	}
	var changed int64
	if g.Version == 0 {
		changed, err = t.run.exec(ctx, `insert into guests (machine_id, doc, version) values ($1, $2, 1)
			on conflict do nothing`, strings.ToLower(g.MachineID), string(doc))
	} else {
		changed, err = t.run.exec(ctx, `update guests set doc = $2, version = version + 1
			where machine_id = $1 and version = $3`, strings.ToLower(g.MachineID), string(doc), g.Version)
	}
	if err != nil {
		return g, fmt.Errorf("write guest %s: %w", g.MachineID, err)
	}
	if changed == 0 {
		return g, stale(g.VM)
	}
	g.Version++
	return g, nil
}

// DeleteGuest implements deskyard.Tx.
func (t *transaction) DeleteGuest(ctx context.Context, machineID string) error {
	if !storable(machineID) {
		return nil
	}
	if _, err := t.run.exec(ctx, `delete from guests where machine_id = $1`, strings.ToLower(machineID)); err != nil {
		return fmt.Errorf("delete guest %s: %w", machineID, err)
	}
	return nil
}
