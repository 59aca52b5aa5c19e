package identity

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
)

func wireGroup(g directory.Group) map[string]any {
	var description any
	if g.Description != "" {
		description = g.Description
	}
	return map[string]any{
		"id": g.ObjectID, "displayName": g.DisplayName, "description": description, "securityEnabled": true, "mailEnabled": false,
		"mailNickname": g.ObjectID, "mail": nil, "groupTypes": []string{}, "createdDateTime": wireTime(g.CreatedAt),
	}
}

func groupAttributes(g directory.Group) attributes {
	return func(p string) ([]string, bool) {
		switch strings.ToLower(p) {
		case "id":
			return []string{g.ObjectID}, true
		case "displayname":
			return []string{g.DisplayName}, true
		case "mailnickname":
			return []string{g.ObjectID}, true
		case "mail":
			return nil, true
		case "securityenabled":
			return []string{"true"}, true
		case "mailenabled":
			return []string{"false"}, true
		}
		return nil, false
	}
}

func (c *graphCall) listGroups(ctx context.Context) (int, any, error) {
	return list(ctx, c, listing[directory.Group]{
		of: "groups", fetch: c.s.store.Groups, attr: groupAttributes, render: wireGroup,
		look: func(ctx context.Context, f *filter) (*directory.Group, bool, error) {
			if id, ok := f.equals("id"); ok {
				return orNone(c.s.store.Group(ctx, id))
			}
			return nil, false, nil
		},
	})
}

// groupNamed finds the group of a path.
func (c *graphCall) groupNamed(ctx context.Context) (directory.Group, error) {
	g, err := c.s.store.Group(ctx, strings.ToLower(c.ids[0]))
	if arm.IsMissing(err) {
		err = notFound(c.ids[0])
	}
	return g, err
}

func (c *graphCall) getGroup(ctx context.Context) (int, any, error) {
	g, err := c.groupNamed(ctx)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, c.one("groups", wireGroup(g)), nil
}

type groupBody struct {
	DisplayName *string  `json:"displayName"`
	Description *string  `json:"description"`
	Members     []string `json:"members@odata.bind"`
}

func (c *graphCall) createGroup(ctx context.Context) (int, any, error) {
	var b groupBody
	if err := c.decode(&b); err != nil {
		return 0, nil, err
	}
	if b.DisplayName == nil {
		return 0, nil, badRequest("displayName", "A value is required for property 'displayName' of resource 'Group'.")
	}
	if len(b.Members) > 20 {
		return 0, nil, badRequest("members@odata.bind", "At most 20 members can be bound in one request.")
	}
	description := ""
	set(&description, b.Description)
	g, err := c.s.CreateGroup(ctx, *b.DisplayName, description)
	if err != nil {
		return 0, nil, err
	}
	c.object = g.ObjectID
	for _, reference := range b.Members {
		if err := c.s.AddMember(ctx, g.ObjectID, lastPart(reference)); err != nil {
			return 0, nil, err
		}
	}
	return http.StatusCreated, c.one("groups", wireGroup(g)), nil
}

func (c *graphCall) patchGroup(ctx context.Context) (int, any, error) {
	var b groupBody
	if err := c.decode(&b); err != nil {
		return 0, nil, err
	}
	g, err := c.groupNamed(ctx)
	if err == nil {
		_, err = c.s.UpdateGroup(ctx, g.ObjectID, b.DisplayName, b.Description)
	}
	return http.StatusNoContent, nil, err
}

func (c *graphCall) deleteGroup(ctx context.Context) (int, any, error) {
	g, err := c.groupNamed(ctx)
	if err == nil {
		err = c.s.DeleteGroup(ctx, g.ObjectID)
	}
	return http.StatusNoContent, nil, err
}

func (c *graphCall) listMembers(ctx context.Context) (int, any, error) {
	g, err := c.groupNamed(ctx)
	if err != nil {
		return 0, nil, err
	}
	top, err := c.top()
	if err != nil {
		return 0, nil, err
	}
	q := c.r.URL.Query()
	page, err := c.s.store.Members(ctx, g.ObjectID, Query{After: q.Get("$skiptoken"), Limit: top})
	if err != nil {
		return 0, nil, fmt.Errorf("list the members of group %s: %w", g.ObjectID, err)
	}
	rows := []map[string]any{}
	for _, m := range page.Items {
		o, err := c.s.object(ctx, m.ObjectID)
		if arm.IsMissing(err) {
			continue // removed since the page was read
		}
		if err != nil {
			return 0, nil, err
		}
		rows = append(rows, c.selected(wireObject(o, c.s.tenant.ID)))
	}
	answer := map[string]any{"@odata.context": c.context("directoryObjects"), "value": rows}
	if page.Next != "" {
		q.Set("$skiptoken", page.Next)
		answer["@odata.nextLink"] = c.s.base(c.r) + c.prefix + "/groups/" + g.ObjectID + "/members?" + q.Encode()
	}
	return http.StatusOK, answer, nil
}

// addMember takes {"@odata.id": "…/directoryObjects/{id}"}.
func (c *graphCall) addMember(ctx context.Context) (int, any, error) {
	var b struct {
		Reference string `json:"@odata.id"`
	}
	if err := c.decode(&b); err != nil {
		return 0, nil, err
	}
	if b.Reference == "" {
		return 0, nil, badRequest("@odata.id", "The body must name the new member by '@odata.id'.")
	}
	g, err := c.groupNamed(ctx)
	if err == nil {
		err = c.s.AddMember(ctx, g.ObjectID, lastPart(b.Reference))
	}
	return http.StatusNoContent, nil, err
}

func (c *graphCall) removeMember(ctx context.Context) (int, any, error) {
	g, err := c.groupNamed(ctx)
	if err == nil {
		err = c.s.RemoveMember(ctx, g.ObjectID, strings.ToLower(c.ids[1]))
	}
	return http.StatusNoContent, nil, err
}

// lastPart is the id at the end of a reference.
func lastPart(reference string) string {
	return reference[strings.LastIndexByte(reference, '/')+1:]
}

// wireObject is an object of any kind, with its type.
func wireObject(o object, tenant string) map[string]any {
	var w map[string]any
	switch o.kind {
	case directory.KindUser:
		w = wireUser(o.user)
	case directory.KindGroup:
		w = wireGroup(o.group)
	default:
		w = wireServicePrincipal(o.sp, tenant)
	}
	w["@odata.type"] = "#microsoft.graph." + o.kind
	return w
}

func (c *graphCall) getObject(ctx context.Context) (int, any, error) {
	o, err := c.s.object(ctx, c.ids[0])
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, c.one("directoryObjects", wireObject(o, c.s.tenant.ID)), nil
}

// objectsByID answers what az asks after listing role assignments: who are they.
func (c *graphCall) objectsByID(ctx context.Context) (int, any, error) {
	var b struct {
		IDs   []string `json:"ids"`
		Types []string `json:"types"`
	}
	if err := c.decode(&b); err != nil {
		return 0, nil, err
	}
	if len(b.IDs) > 1000 {
		return 0, nil, badRequest("ids", "Too many ids: %d. The most is 1000.", len(b.IDs))
	}
	rows := []map[string]any{}
	for _, id := range b.IDs {
		o, err := c.s.object(ctx, id)
		if arm.IsMissing(err) {
			continue // Graph leaves out what does not exist
		}
		if err != nil {
			return 0, nil, err
		}
		wanted := func(t string) bool { return strings.EqualFold(t, o.kind) || strings.EqualFold(t, "directoryObject") }
		if len(b.Types) == 0 || slices.ContainsFunc(b.Types, wanted) {
			rows = append(rows, wireObject(o, c.s.tenant.ID))
		}
	}
	return http.StatusOK, map[string]any{"@odata.context": c.context("directoryObjects"), "value": rows}, nil
}

// groupsOfPath gives the groups of the object that the path names.
func (c *graphCall) groupsOfPath(ctx context.Context) ([]string, error) {
	id := c.ids[0]
	if strings.Contains(id, "@") {
		u, err := c.userNamed(ctx)
		if err != nil {
			return nil, err
		}
		id = u.ObjectID
	}
	o, err := c.s.object(ctx, id)
	if err != nil {
		return nil, err
	}
	return c.s.GroupsOf(ctx, o.id())
}

func (c *graphCall) memberOf(ctx context.Context) (int, any, error) {
	ids, err := c.groupsOfPath(ctx)
	if err != nil {
		return 0, nil, err
	}
	rows := []map[string]any{}
	for _, id := range ids {
		g, err := c.s.store.Group(ctx, id)
		if arm.IsMissing(err) {
			continue // removed since the list was read
		}
		if err != nil {
			return 0, nil, err
		}
		rows = append(rows, c.selected(wireObject(object{kind: directory.KindGroup, group: g}, c.s.tenant.ID)))
	}
	return http.StatusOK, map[string]any{"@odata.context": c.context("directoryObjects"), "value": rows}, nil
}

func (c *graphCall) memberGroups(ctx context.Context) (int, any, error) {
	ids, err := c.groupsOfPath(ctx)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]any{"@odata.context": c.context("Collection(Edm.String)"), "value": append([]string{}, ids...)}, nil
}

// checkMemberGroups answers which of {"groupIds": […]} the object is in.
func (c *graphCall) checkMemberGroups(ctx context.Context) (int, any, error) {
	var b struct {
		GroupIDs []string `json:"groupIds"`
	}
	if err := c.decode(&b); err != nil {
		return 0, nil, err
	}
	ids, err := c.groupsOfPath(ctx)
	if err != nil {
		return 0, nil, err
	}
	in := []string{}
	for _, id := range b.GroupIDs {
		if slices.ContainsFunc(ids, func(have string) bool { return strings.EqualFold(have, id) }) {
			in = append(in, strings.ToLower(id))
		}
	}
	return http.StatusOK, map[string]any{"@odata.context": c.context("Collection(Edm.String)"), "value": in}, nil
}
