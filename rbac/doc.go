// Package rbac decides who may do what: Azure's role-based access control with
// Azure's own role ids and action strings.
//
// A role definition is a set of permissions; a role assignment gives a role to a
// principal at a scope, and holds for everything below it. An action is allowed
// when some role that reaches the caller at the scope, or above it, lists it in
// actions and does not list it in that same permission's notActions. Roles only
// add up: what one permission's notActions leaves out another may give. Actions
// of the management API and data actions (using an application group, logging in
// to a machine) are two separate sets.
//
//	request ── Authorizer.Allow ──► Index (a snapshot of all assignments) ──► yes, or Denied
//	                │ stale?
//	                └── stamp in the store ── changed? ── load roles and assignments
//
// The rules in this package are pure; only Authorizer reads the store, through
// the interface deskyard.Reader.
package rbac
