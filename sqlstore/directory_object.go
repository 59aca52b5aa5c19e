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
	"github.com/deskyard/deskyard/directory"
)

// object is how one kind of directory object is stored: as a document under its
// object id, with the names under which else it is found.
type object[T any] struct {
	kind  string
	id    func(T) string
	title func(T) string   // lists are in its order
	names func(T) []naming // unique within their kind
}

// naming is one name of a directory object.
type naming struct{ kind, name string }

// Kinds of names, spelled as Microsoft Graph spells the property.
const (
	userPrincipalName = "userPrincipalName"
	appID             = "appId"
	applicationID     = "applicationId"
	deviceID          = "deviceId"
)

var (
	users = object[directory.User]{
		kind:  directory.KindUser,
		id:    func(u directory.User) string { return u.ObjectID },
		title: func(u directory.User) string { return u.UPN },
		names: func(u directory.User) []naming { return []naming{{userPrincipalName, u.UPN}} },
	}
	groups = object[directory.Group]{
		kind:  directory.KindGroup,
		id:    func(g directory.Group) string { return g.ObjectID },
		title: func(g directory.Group) string { return g.DisplayName },
		names: func(directory.Group) []naming { return nil },
	}
	servicePrincipals = object[directory.ServicePrincipal]{
		kind:  directory.KindServicePrincipal,
		id:    func(s directory.ServicePrincipal) string { return s.ObjectID },
		title: func(s directory.ServicePrincipal) string { return s.DisplayName },
		names: func(s directory.ServicePrincipal) []naming {
			return []naming{{appID, s.AppID}, {applicationID, s.ApplicationID}}
		},
	}
	devices = object[directory.Device]{
		kind:  directory.KindDevice,
		id:    func(d directory.Device) string { return d.ObjectID },
		title: func(d directory.Device) string { return d.DisplayName },
		names: func(d directory.Device) []naming { return []naming{{deviceID, d.DeviceID}} },
	}
)

// get reads an object by its id.
func (o object[T]) get(ctx context.Context, q queries, id string) (T, error) {
	return o.find(ctx, q, id, `select doc from directory_objects where kind = $1 and object_id = $2`, o.kind, strings.ToLower(cleaned(id)))
}

// named reads an object by one of its names.
func (o object[T]) named(ctx context.Context, q queries, kind, name string) (T, error) {
	return o.find(ctx, q, name, `select o.doc from directory_names n join directory_objects o on o.object_id = n.object_id
		where n.kind = $1 and n.name = $2`, kind, strings.ToLower(cleaned(name)))
}

func (o object[T]) find(ctx context.Context, q queries, asked, text string, args ...any) (T, error) {
	var found T
	var doc []byte
	err := q.one(ctx, text, args, &doc)
	if errors.Is(err, sql.ErrNoRows) {
		return found, noObject(asked)
	}
	if err == nil {
		err = json.Unmarshal(doc, &found)
	}
	if err != nil {
		return found, fmt.Errorf("read %s %s: %w", o.kind, asked, err)
	}
	return found, nil
}

// list reads a page in the order of titles.
func (o object[T]) list(ctx context.Context, q queries, page directory.Query) (deskyard.Page[T], error) {
	l := selecting(`select doc from directory_objects`)
	l.where("kind = ?", o.kind)
	if page.After != "" {
		l.where("place > ?", cleaned(page.After))
	}
	l.page("place", 0, page.Limit)
	all, err := documents[T](ctx, q, l)
	if err != nil {
		return deskyard.Page[T]{}, fmt.Errorf("list %ss: %w", o.kind, err)
	}
	var p deskyard.Page[T]
	p.Items, p.Next = cut(all, page.Limit, o.place)
	return p, nil
}

// place is the title in lower case and then the id, which makes it unique.
func (o object[T]) place(v T) string {
	return strings.ToLower(clipped(cleaned(o.title(v)), longestIndexed/2) + " " + o.id(v))
}

// create inserts an object with its names.
func (o object[T]) create(ctx context.Context, tx *transaction, v T) error {
	id := strings.ToLower(o.id(v))
	doc, err := o.encode(v)
	if err != nil {
		return err
	}
	made, err := tx.run.exec(ctx, `insert into directory_objects (object_id, kind, place, doc) values ($1, $2, $3, $4)
		on conflict (object_id) do nothing`, id, o.kind, o.place(v), doc)
	if err != nil {
		return fmt.Errorf("create %s %s: %w", o.kind, id, err)
	}
	if made == 0 {
		return taken("id", id)
	}
	return o.putNames(ctx, tx, id, v)
}

// update reads, changes and replaces an object.
func (o object[T]) update(ctx context.Context, db *DB, id string, f func(*T) error) (T, error) {
	var updated T
	err := db.engine.write(ctx, func(ctx context.Context, tx *transaction) error {
		v, err := o.get(ctx, tx.queries, id)
		if err != nil {
			return err
		}
		key := strings.ToLower(o.id(v))
		if err := f(&v); err != nil {
			return err
		}
		if strings.ToLower(o.id(v)) != key {
			return fmt.Errorf("update %s %s: its object id must not change", o.kind, id)
		}
		doc, err := o.encode(v)
		if err != nil {
			return err
		}
		if _, err := tx.run.exec(ctx, `update directory_objects set place = $2, doc = $3 where object_id = $1`, key, o.place(v), doc); err != nil {
			return fmt.Errorf("update %s %s: %w", o.kind, id, err)
		}
		if _, err := tx.run.exec(ctx, `delete from directory_names where object_id = $1`, key); err != nil {
			return fmt.Errorf("update %s %s: %w", o.kind, id, err)
		}
		updated = v
		return o.putNames(ctx, tx, key, v)
	})
	if err != nil {
		var none T
		return none, err
	}
	return updated, nil
}

// delete removes an object, its names and its memberships, a group's members too.
func (o object[T]) delete(ctx context.Context, tx *transaction, id string) error {
	key := strings.ToLower(cleaned(id))
	gone, err := tx.run.exec(ctx, `delete from directory_objects where kind = $1 and object_id = $2`, o.kind, key)
	if err == nil && gone == 0 {
		return noObject(id)
	}
	if err == nil {
		_, err = tx.run.exec(ctx, `delete from directory_members where member_id = $1`, key)
	}
	if err != nil {
		return fmt.Errorf("delete %s %s: %w", o.kind, id, err)
	}
	return nil
}

func (o object[T]) putNames(ctx context.Context, tx *transaction, id string, v T) error {
	for _, n := range o.names(v) {
		made, err := tx.run.exec(ctx, `insert into directory_names (kind, name, object_id) values ($1, $2, $3)
			on conflict (kind, name) do nothing`, n.kind, strings.ToLower(n.name), id)
		if err != nil {
			return fmt.Errorf("name %s %s: %w", o.kind, id, err)
		}
		if made == 0 {
			return taken(n.kind, n.name)
		}
	}
	return nil
}

// encode refuses what PostgreSQL could not store, before the statement that would
// fail the whole transaction.
func (o object[T]) encode(v T) (string, error) {
	for _, n := range append(o.names(v), naming{"id", o.id(v)}) {
		if n.name == "" || !storable(n.name) || 2*len(n.name) > longestIndexed {
			return "", arm.Errorf(arm.Invalid, "Request_BadRequest", "Invalid value specified for property '%s' of resource '%s'.", n.kind, o.kind)
		}
	}
	doc, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode %s %s: %w", o.kind, o.id(v), err)
	}
	return string(doc), nil
}

// documents reads a list of JSON documents.
func documents[T any](ctx context.Context, q queries, l *listing) ([]T, error) {
	rows, err := q.run.query(ctx, l.text.String(), l.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	var doc sql.RawBytes
	for rows.Next() {
		var v T
		if err := rows.Scan(&doc); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(doc, &v); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// noObject is Microsoft Graph's answer for an object that does not exist.
func noObject(id string) *arm.Error {
	return arm.Errorf(arm.Missing, "Request_ResourceNotFound",
		"Resource '%s' does not exist or one of its queried reference-property objects are not present.", cleaned(id))
}

// taken is Microsoft Graph's answer for a name that another object has.
func taken(property, value string) *arm.Error {
	return arm.Errorf(arm.Conflicting, "Request_MultipleObjectsWithSameKeyValue",
		"Another object with the same value for property %s already exists: '%s'.", property, value).WithTarget(property)
}
