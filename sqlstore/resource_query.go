package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

const resourceColumns = `select id, envelope, properties, refs, version from resources`

// storedRef is the stored form of a deskyard.Ref.
type storedRef struct {
	Relation string         `json:"relation"`
	Target   arm.ResourceID `json:"target"`
}

// Resource implements deskyard.Reader.
func (q queries) Resource(ctx context.Context, id arm.ResourceID) (deskyard.Resource, error) {
	key := id.Key()
	if !storable(key) {
		return deskyard.Resource{}, arm.NotFound(id)
	}
	rows, err := q.run.query(ctx, resourceColumns+` where key = $1`, key)
	if err != nil {
		return deskyard.Resource{}, fmt.Errorf("read resource %s: %w", id, err)
	}
	found, err := scanResources(rows)
	if err != nil {
		return deskyard.Resource{}, fmt.Errorf("read resource %s: %w", id, err)
	}
	if len(found) == 0 {
		return deskyard.Resource{}, arm.NotFound(id)
	}
	return found[0], nil
}

// Resources implements deskyard.Reader. A list without a type holds what
// deskyard.ResourceQuery calls tracked: resources of a provider that have a
// location, hence no groups, no children and no role assignments. A tag name
// without a value selects every value of that tag.
func (q queries) Resources(ctx context.Context, r deskyard.ResourceQuery) (deskyard.Page[deskyard.Resource], error) {
	var page deskyard.Page[deskyard.Resource]
	for _, s := range []string{r.Scope.Key(), r.Type, r.TagName, r.TagValue, r.After} {
		if !storable(s) {
			return page, nil // nothing stored can match it
		}
	}
	l := selecting(resourceColumns)
	if r.Type != "" {
		l.where("type = ?", strings.ToLower(r.Type))
	} else {
		l.where("tracked = 1")
	}
	l.keyRange(r.Scope, r.After, r.Descending)
	if r.TagName != "" {
		tagged, args := "key in (select key from resource_tags where name = ?", []any{strings.ToLower(r.TagName)}
		if r.TagValue != "" {
			tagged, args = tagged+" and value = ?", append(args, r.TagValue)
		}
		l.where(tagged+")", args...)
	}
	l.page(direction(r.Descending), r.Skip, r.Limit)
	rows, err := q.run.query(ctx, l.text.String(), l.args...)
	if err == nil {
		page.Items, err = scanResources(rows)
	}
	if err != nil {
		return deskyard.Page[deskyard.Resource]{}, fmt.Errorf("list resources of type %q below %s: %w", r.Type, r.Scope, err)
	}
	page.Items, page.Next = cut(page.Items, r.Limit, func(r deskyard.Resource) string { return r.ID.Key() })
	return page, nil
}

// Referrers implements deskyard.Reader. Targets that nothing points at are not
// in the map; each list is in key order.
func (q queries) Referrers(ctx context.Context, relation string, targets ...arm.ResourceID) (map[string][]arm.ResourceID, error) {
	found := map[string][]arm.ResourceID{}
	var keys []any
	for _, t := range targets {
		if k := t.Key(); storable(k) {
			keys = append(keys, k)
		}
	}
	for part := range slices.Chunk(keys, widestIn) {
		if err := q.referrers(ctx, relation, part, found); err != nil {
			return nil, fmt.Errorf("read what points at %d resources as %s: %w", len(targets), relation, err)
		}
	}
	return found, nil
}

// widestIn is the longest list in an "in (…)".
const widestIn = 256

func (q queries) referrers(ctx context.Context, relation string, keys []any, found map[string][]arm.ResourceID) error {
	// The list is filled up to a power of two with its last member, so that there
	// are nine texts to keep prepared and not 256.
	width := 1
	for width < len(keys) {
		width *= 2
	}
	args := slices.Clone(keys)
	for len(args) < width {
		args = append(args, keys[len(keys)-1])
	}
	l := selecting(`select f.target_key, r.id from resource_refs f join resources r on r.key = f.key`)
	l.where("f.relation = ?", relation)
	l.where("f.target_key in (?"+strings.Repeat(", ?", width-1)+")", args...)
	l.add(" order by f.target_key, f.key")
	rows, err := q.run.query(ctx, l.text.String(), l.args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var target, text string
		if err := rows.Scan(&target, &text); err != nil {
			return err
		}
		id, err := arm.ParseID(text)
		if err != nil {
			return err
		}
		found[target] = append(found[target], id)
	}
	return rows.Err()
}

// PutResource implements deskyard.Tx.
func (t *transaction) PutResource(ctx context.Context, r deskyard.Resource) (deskyard.Resource, error) {
	t.changed = append(t.changed, r.ID)
	put, err := t.putResource(ctx, r)
	var refused *arm.Error
	if err != nil && !errors.As(err, &refused) {
		return deskyard.Resource{}, fmt.Errorf("write resource %s: %w", r.ID, err)
	}
	return put, err
}

func (t *transaction) putResource(ctx context.Context, r deskyard.Resource) (deskyard.Resource, error) {
	text := r.ID.String()
	key := strings.ToLower(text)
	if !storable(text) || r.ID.IsZero() {
		return deskyard.Resource{}, arm.Errorf(arm.Invalid, "InvalidResourceName", "The resource id %q cannot be stored.", r.ID)
	}
	if err := tooLong(key, r); err != nil {
		return deskyard.Resource{}, err
	}
	envelope, err := json.Marshal(r.Envelope)
	if err != nil {
		return deskyard.Resource{}, err
	}
	refs, err := encodeRefs(r.Refs)
	if err != nil {
		return deskyard.Resource{}, err
	}
	if !storable(string(envelope)) || !storable(string(r.Properties)) || !storable(refs) {
		return deskyard.Resource{}, arm.Errorf(arm.Invalid, "InvalidRequestContent", "The resource %s holds text that is not valid UTF-8.", r.ID)
	}
	values := []any{key, text, tracked(r), string(envelope), string(r.Properties), refs}
	var changed int64
	if r.Version == 0 {
		changed, err = t.run.exec(ctx, `insert into resources (key, id, tracked, envelope, properties, refs, version, type)
			values ($1, $2, $3, $4, $5, $6, 1, $7) on conflict (key) do nothing`, append(values, strings.ToLower(r.ID.Type()))...)
	} else { // the type goes with the key; setting it would rewrite its index
		changed, err = t.run.exec(ctx, `update resources set id = $2, tracked = $3, envelope = $4, properties = $5, refs = $6,
			version = version + 1 where key = $1 and version = $7`, append(values, r.Version)...)
	}
	if err != nil {
		return deskyard.Resource{}, err
	}
	if changed == 0 {
		return deskyard.Resource{}, stale(r.ID)
	}
	r.Version++
	return r, t.index(ctx, key, r)
}

// tooLong refuses what would not fit into an index.
func tooLong(key string, r deskyard.Resource) error {
	if len(key) > longestIndexed {
		return arm.Errorf(arm.Invalid, "InvalidResourceName", "The resource id is %d bytes long; at most %d can be stored.", len(key), longestIndexed)
	}
	for name, value := range r.Envelope.Tags {
		if len(key)+len(name)+len(value) > longestIndexed {
			return arm.Errorf(arm.Invalid, "InvalidTagValue", "The tag '%.64s' and the resource id are together %d bytes long; at most %d can be stored.",
				name, len(key)+len(name)+len(value), longestIndexed).WithTarget("tags")
		}
	}
	for _, ref := range r.Refs {
		if n := len(key) + len(ref.Target.Key()); n > longestIndexed {
			return arm.Errorf(arm.Invalid, "InvalidResourceReference", "The resource ids %s and %.64s… are together %d bytes long; at most %d can be stored.",
				r.ID, ref.Target, n, longestIndexed)
		}
	}
	return nil
}

// index writes the rows by which the resource is found: its tags and its refs.
func (t *transaction) index(ctx context.Context, key string, r deskyard.Resource) error {
	if r.Version > 1 {
		for _, forget := range []string{`delete from resource_tags where key = $1`, `delete from resource_refs where key = $1`} {
			if _, err := t.run.exec(ctx, forget, key); err != nil {
				return err
			}
		}
	}
	for name, value := range r.Envelope.Tags {
		if _, err := t.run.exec(ctx, `insert into resource_tags (key, name, value) values ($1, $2, $3)
			on conflict (key, name) do nothing`, key, strings.ToLower(name), value); err != nil {
			return err
		}
	}
	for _, ref := range r.Refs {
		if _, err := t.run.exec(ctx, `insert into resource_refs (key, relation, target_key) values ($1, $2, $3)
			on conflict (key, relation, target_key) do nothing`, key, ref.Relation, ref.Target.Key()); err != nil {
			return err
		}
	}
	return nil
}

// DeleteResource implements deskyard.Tx.
func (t *transaction) DeleteResource(ctx context.Context, id arm.ResourceID) error {
	t.changed = append(t.changed, id)
	key := id.Key()
	if !storable(key) {
		return arm.NotFound(id)
	}
	gone, err := t.run.exec(ctx, `delete from resources where key = $1`, key)
	if err != nil {
		return fmt.Errorf("delete resource %s: %w", id, err)
	}
	if gone == 0 {
		return arm.NotFound(id)
	}
	if _, err := t.run.exec(ctx, `delete from registration_keys where pool_key = $1`, key); err != nil {
		return fmt.Errorf("delete registration keys of %s: %w", id, err)
	}
	return t.deleteBelow(ctx, id)
}

// deleteBelow removes everything under id, of which id's own row is none. Tags
// and refs go with their resource by foreign key.
func (t *transaction) deleteBelow(ctx context.Context, id arm.ResourceID) error {
	from, to := below(id)
	for _, forget := range []string{
		`delete from resources where key > $1 and key < $2`,
		`delete from session_hosts where key > $1 and key < $2`,
		`delete from registration_keys where pool_key > $1 and pool_key < $2`,
	} {
		if _, err := t.run.exec(ctx, forget, from, to); err != nil {
			return fmt.Errorf("delete what is below %s: %w", id, err)
		}
	}
	return nil
}

// scanResources reads and closes rows of resourceColumns.
func scanResources(rows *sql.Rows) ([]deskyard.Resource, error) {
	defer rows.Close()
	var all []deskyard.Resource
	var id, envelope, refs string
	for rows.Next() {
		var r deskyard.Resource
		var properties []byte
		if err := rows.Scan(&id, &envelope, &properties, &refs, &r.Version); err != nil {
			return nil, err
		}
		var err error
		if r.ID, err = arm.ParseID(id); err != nil {
			return nil, err
		}
		if r.Envelope, err = decodeEnvelope(envelope); err != nil {
			return nil, fmt.Errorf("decode envelope of %s: %w", id, err)
		}
		if len(properties) > 0 {
			r.Properties = properties
		}
		if r.Refs, err = decodeRefs(refs); err != nil {
			return nil, fmt.Errorf("decode refs of %s: %w", id, err)
		}
		all = append(doubled(all), r)
	}
	return all, rows.Err()
}

func encodeRefs(refs []deskyard.Ref) (string, error) {
	if len(refs) == 0 {
		return "", nil
	}
	stored := make([]storedRef, len(refs))
	for i, r := range refs {
		stored[i] = storedRef(r)
	}
	text, err := json.Marshal(stored)
	return string(text), err
}

func decodeRefs(text string) ([]deskyard.Ref, error) {
	if text == "" {
		return nil, nil
	}
	var stored []storedRef
	if err := json.Unmarshal([]byte(text), &stored); err != nil {
		return nil, err
	}
	refs := make([]deskyard.Ref, len(stored))
	for i, r := range stored {
		refs[i] = deskyard.Ref(r)
	}
	return refs, nil
}

// tracked is 1 for a resource of a provider that has a location, as ARM's generic
// list of resources understands it.
func tracked(r deskyard.Resource) int64 {
	if len(r.ID.Segments) > 0 && r.Envelope.Location != "" {
		return 1
	}
	return 0
}

// stale says that a write was based on a version that is no longer current.
func stale(id arm.ResourceID) *arm.Error {
	return arm.Errorf(arm.Precondition, "PreconditionFailed",
		"The resource '%s' was changed or removed since it was read. Read it again and repeat the change.", id).WithTarget(id.String())
}
