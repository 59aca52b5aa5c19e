package deskyard

// Principal is an authenticated caller.
type Principal struct {
	ObjectID string   // oid
	TenantID string   // tid
	AppID    string   // appid of an application, or of the client that a user came through
	Name     string   // user principal name, or the application's id
	Kind     string   // User | Application (as systemData's createdByType)
	Groups   []string // object ids of groups it is in
}

// IDs are the object ids that a role assignment may name to reach this caller.
func (p Principal) IDs() []string { return append([]string{p.ObjectID}, p.Groups...) }
