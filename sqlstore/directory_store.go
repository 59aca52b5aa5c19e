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

// The methods of this file and of directory_grant.go
// implement identity.Store, which says what they promise.

// Tenant reads the installation's directory.
func (db *DB) Tenant(ctx context.Context) (directory.Tenant, error) {
	var t directory.Tenant
	var doc []byte
	err := db.one(ctx, `select doc from directory_tenant where slot = 1`, nil, &doc)
	if errors.Is(err, sql.ErrNoRows) {
		return t, arm.Errorf(arm.Missing, "TenantNotFound", "This installation has no tenant yet.")
	}
	if err == nil {
		err = json.Unmarshal(doc, &t)
	}
	if err != nil {
		return directory.Tenant{}, fmt.Errorf("read tenant: %w", err)
	}
	return t, nil
}

// Found stores the tenant with its first user and service principal, once.
func (db *DB) Found(ctx context.Context, t directory.Tenant, u directory.User, sp directory.ServicePrincipal) error {
	doc, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("encode tenant: %w", err)
	}
	return db.engine.write(ctx, func(ctx context.Context, tx *transaction) error {
		made, err := tx.run.exec(ctx, `insert into directory_tenant (slot, doc) values (1, $1) on conflict (slot) do nothing`, string(doc))
		if err != nil {
			return fmt.Errorf("found tenant: %w", err)
		}
		if made == 0 {
			return arm.Errorf(arm.Conflicting, "TenantExists", "This installation has a tenant already.")
		}
		if err := users.create(ctx, tx, u); err != nil {
			return err
		}
		return servicePrincipals.create(ctx, tx, sp)
	})
}

// User reads a user by object id.
func (db *DB) User(ctx context.Context, objectID string) (directory.User, error) {
	return users.get(ctx, db.queries, objectID)
}

// UserByName reads a user by user principal name, in any case.
func (db *DB) UserByName(ctx context.Context, upn string) (directory.User, error) {
	return users.named(ctx, db.queries, userPrincipalName, upn)
}

// Users lists users by user principal name.
func (db *DB) Users(ctx context.Context, q directory.Query) (deskyard.Page[directory.User], error) {
	return users.list(ctx, db.queries, q)
}

// CreateUser inserts a user.
func (db *DB) CreateUser(ctx context.Context, u directory.User) error {
	return create(ctx, db, users, u)
}

// UpdateUser changes a user.
func (db *DB) UpdateUser(ctx context.Context, objectID string, f func(*directory.User) error) (directory.User, error) {
	return users.update(ctx, db, objectID, f)
}

// DeleteUser removes a user with memberships and grants.
func (db *DB) DeleteUser(ctx context.Context, objectID string) error {
	return db.engine.write(ctx, func(ctx context.Context, tx *transaction) error {
		if err := users.delete(ctx, tx, objectID); err != nil {
			return err
		}
		_, err := tx.deleteGrants(ctx, directory.GrantQuery{Subject: objectID})
		return err
	})
}

// Group reads a group by object id.
func (db *DB) Group(ctx context.Context, objectID string) (directory.Group, error) {
	return groups.get(ctx, db.queries, objectID)
}

// Groups lists groups by display name.
func (db *DB) Groups(ctx context.Context, q directory.Query) (deskyard.Page[directory.Group], error) {
	return groups.list(ctx, db.queries, q)
}

// CreateGroup inserts a group.
func (db *DB) CreateGroup(ctx context.Context, g directory.Group) error {
	return create(ctx, db, groups, g)
}

// UpdateGroup changes a group.
func (db *DB) UpdateGroup(ctx context.Context, objectID string, f func(*directory.Group) error) (directory.Group, error) {
	return groups.update(ctx, db, objectID, f)
}

// DeleteGroup removes a group, who is in it and what it is in.
func (db *DB) DeleteGroup(ctx context.Context, objectID string) error {
	return db.engine.write(ctx, func(ctx context.Context, tx *transaction) error {
		return groups.delete(ctx, tx, objectID)
	})
}

// ServicePrincipal reads a service principal by object id.
func (db *DB) ServicePrincipal(ctx context.Context, objectID string) (directory.ServicePrincipal, error) {
	return servicePrincipals.get(ctx, db.queries, objectID)
}

// ServicePrincipalByAppID reads a service principal by the id that clients send.
func (db *DB) ServicePrincipalByAppID(ctx context.Context, id string) (directory.ServicePrincipal, error) {
	return servicePrincipals.named(ctx, db.queries, appID, id)
}

// ServicePrincipalByApplicationID reads a service principal by its application's object id.
func (db *DB) ServicePrincipalByApplicationID(ctx context.Context, id string) (directory.ServicePrincipal, error) {
	return servicePrincipals.named(ctx, db.queries, applicationID, id)
}

// ServicePrincipals lists service principals by display name.
func (db *DB) ServicePrincipals(ctx context.Context, q directory.Query) (deskyard.Page[directory.ServicePrincipal], error) {
	return servicePrincipals.list(ctx, db.queries, q)
}

// CreateServicePrincipal inserts a service principal.
func (db *DB) CreateServicePrincipal(ctx context.Context, sp directory.ServicePrincipal) error {
	return create(ctx, db, servicePrincipals, sp)
}

// UpdateServicePrincipal changes a service principal.
func (db *DB) UpdateServicePrincipal(ctx context.Context, objectID string, f func(*directory.ServicePrincipal) error) (directory.ServicePrincipal, error) {
	return servicePrincipals.update(ctx, db, objectID, f)
}

// DeleteServicePrincipal removes a service principal with its memberships and the
// grants of its app id.
func (db *DB) DeleteServicePrincipal(ctx context.Context, objectID string) error {
	return db.engine.write(ctx, func(ctx context.Context, tx *transaction) error {
		sp, err := servicePrincipals.get(ctx, tx.queries, objectID)
		if err != nil {
			return err
		}
		if err := servicePrincipals.delete(ctx, tx, objectID); err != nil {
			return err
		}
		_, err = tx.deleteGrants(ctx, directory.GrantQuery{AppID: sp.AppID})
		return err
	})
}

// Members lists a group's direct members by object id.
func (db *DB) Members(ctx context.Context, groupID string, q directory.Query) (deskyard.Page[directory.Member], error) {
	var page deskyard.Page[directory.Member]
	if _, err := db.Group(ctx, groupID); err != nil {
		return page, err
	}
	l := selecting(`select member_id, member_kind from directory_members`)
	l.where("group_id = ?", strings.ToLower(groupID))
	if q.After != "" {
		l.where("member_id > ?", cleaned(q.After))
	}
	l.page("member_id", 0, q.Limit)
	rows, err := db.run.query(ctx, l.text.String(), l.args...)
	if err != nil {
		return page, fmt.Errorf("list members of group %s: %w", groupID, err)
	}
	defer rows.Close()
	for rows.Next() {
		var m directory.Member
		if err := rows.Scan(&m.ObjectID, &m.Kind); err != nil {
			return page, fmt.Errorf("list members of group %s: %w", groupID, err)
		}
		page.Items = append(page.Items, m)
	}
	if err := rows.Err(); err != nil {
		return page, fmt.Errorf("list members of group %s: %w", groupID, err)
	}
	page.Items, page.Next = cut(page.Items, q.Limit, func(m directory.Member) string { return m.ObjectID })
	return page, nil
}

// AddMember adds a direct member to a group.
func (db *DB) AddMember(ctx context.Context, groupID string, m directory.Member) error {
	return db.engine.write(ctx, func(ctx context.Context, tx *transaction) error {
		if _, err := groups.get(ctx, tx.queries, groupID); err != nil {
			return err
		}
		if m.ObjectID == "" || !storable(m.ObjectID+m.Kind) {
			return noObject(m.ObjectID)
		}
		made, err := tx.run.exec(ctx, `insert into directory_members (group_id, member_id, member_kind) values ($1, $2, $3)
			on conflict (group_id, member_id) do nothing`, strings.ToLower(groupID), strings.ToLower(m.ObjectID), m.Kind)
		if err != nil {
			return fmt.Errorf("add member %s to group %s: %w", m.ObjectID, groupID, err)
		}
		if made == 0 {
			return arm.Errorf(arm.Conflicting, "Request_BadRequest",
				"One or more added object references already exist for the following modified properties: 'members'.")
		}
		return nil
	})
}

// RemoveMember takes a direct member out of a group.
func (db *DB) RemoveMember(ctx context.Context, groupID, memberID string) error {
	return db.engine.write(ctx, func(ctx context.Context, tx *transaction) error {
		gone, err := tx.run.exec(ctx, `delete from directory_members where group_id = $1 and member_id = $2`,
			strings.ToLower(cleaned(groupID)), strings.ToLower(cleaned(memberID)))
		if err != nil {
			return fmt.Errorf("remove member %s from group %s: %w", memberID, groupID, err)
		}
		if gone == 0 {
			return noObject(memberID)
		}
		return nil
	})
}

// GroupsOf gives the ids of all groups that hold an object, in order.
func (db *DB) GroupsOf(ctx context.Context, objectID string) ([]string, error) {
	// "union" drops what is found again, so a circle of groups ends.
	rows, err := db.run.query(ctx, `with recursive holding (group_id) as (
			select m.group_id from directory_members m join directory_objects o on o.object_id = m.member_id where m.member_id = $1
			union select m.group_id from directory_members m join holding h on m.member_id = h.group_id)
		select group_id from holding order by group_id`, strings.ToLower(cleaned(objectID)))
	if err != nil {
		return nil, fmt.Errorf("read groups of %s: %w", objectID, err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("read groups of %s: %w", objectID, err)
		}
		all = append(all, id)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read groups of %s: %w", objectID, err)
	}
	return all, nil
}

func create[T any](ctx context.Context, db *DB, o object[T], v T) error {
	return db.engine.write(ctx, func(ctx context.Context, tx *transaction) error { return o.create(ctx, tx, v) })
}
