package armapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// Tags of a host pool that narrow its registration keys; Azure's clients pass them
// through. The same can be said in registrationInfo, which wins.
const (
	tagKeyMaxUses     = "deskyard-key-max-uses"
	tagKeySourceCIDR  = "deskyard-key-source-cidr"
	tagKeyNamePattern = "deskyard-key-name-pattern"
	tagKeepPrevious   = "deskyard-keep-previous-keys"
)

// registrationPath is where faults of registrationInfo are told.
const registrationPath = "properties.registrationInfo"

// registrationRequest is registrationInfo as a client sends it. The members that
// begin with deskyard are ours; Azure's clients know nothing of them.
type registrationRequest struct {
	ExpirationTime           *arm.Time           `json:"expirationTime"`
	Operation                *string             `json:"registrationTokenOperation"`
	DeskyardKeepPreviousKeys *bool               `json:"deskyardKeepPreviousKeys"`
	Deskyard                 *deskyard.KeyLimits `json:"deskyard"`
}

// registrationInfo is the same on the wire.
type registrationInfo struct {
	ExpirationTime *arm.Time `json:"expirationTime"`
	Token          *string   `json:"token"`
	Operation      string    `json:"registrationTokenOperation"`
	ResetToken     *bool     `json:"resetToken,omitempty"` // API versions up to 2021-07-12
}

// registrationActions are the actions of a pool that have to do with its keys.
// Reading a token is an action, so that a Reader cannot.
func (s *Server) registrationActions() []Action {
	return []Action{
		{Method: http.MethodGet, Permission: desktopAction("hostPools/read"), Handle: s.getHostPool},
		{Path: "retrieveRegistrationToken", Permission: desktopAction("hostPools/retrieveRegistrationToken/action"), Audit: true, Handle: s.retrieveRegistrationToken},
		{Path: "listRegistrationTokens", Permission: desktopAction("hostPools/listRegistrationTokens/action"), Audit: true, Handle: s.listRegistrationTokens},
		{Path: "listRegistrationKeys", Permission: desktopAction("hostPools/listRegistrationKeys/action"), Audit: true, Handle: s.listRegistrationKeys},
		{Path: "revokeRegistrationKey", Permission: desktopAction("hostPools/revokeRegistrationKey/action"), Audit: true, Handle: s.revokeRegistrationKey},
	}
}

// applyRegistrationInfo does what a PUT or PATCH asks for the pool's key, and sets
// what its answer says of it: the token is in the answer to an Update and in no
// other answer to a write.
func (s *Server) applyRegistrationInfo(ctx context.Context, w *Write, pool *deskyard.HostPool) error {
	var req registrationRequest
	if raw := w.Raw["registrationinfo"]; raw != nil {
		data, err := json.Marshal(raw)
		if err != nil {
			return fmt.Errorf("read registrationInfo again: %w", err)
		}
		if err := decodeJSON(data, &req, registrationPath); err != nil {
			return err
		}
	}
	operation := ""
	if req.Operation != nil {
		operation = strings.ToLower(*req.Operation)
	}
	switch operation {
	case "", "none":
		info, err := s.registrationState(ctx, w.Tx, pool.ObjectID, w.Now)
		w.Response = map[string]any{"registrationInfo": info}
		return err
	case "update":
		return s.newRegistrationKey(ctx, w, pool, req)
	case "delete":
		n, err := revokeKeys(ctx, w.Tx, pool.ObjectID, w.Now)
		if err != nil {
			return err
		}
		w.Notes = append(w.Notes, fmt.Sprintf("registration key deleted (%d revoked)", n))
		w.Response = map[string]any{"registrationInfo": registrationInfo{Operation: "Delete"}}
		return nil
	}
	return arm.Errorf(arm.Invalid, "InvalidParameter", "The value '%s' of 'registrationTokenOperation' is not one of: Delete, None, Update.",
		clip(*req.Operation)).WithTarget(registrationPath + ".registrationTokenOperation")
}

// newRegistrationKey makes the pool's next key. The former ones end with it unless
// the request keeps them (docs/registration-keys.md); machines that they enrolled
// go on, since a machine's own key is its credential.
func (s *Server) newRegistrationKey(ctx context.Context, w *Write, pool *deskyard.HostPool, req registrationRequest) error {
	if req.ExpirationTime == nil {
		return arm.Errorf(arm.Invalid, "InvalidParameter",
			"The property 'expirationTime' is required with registrationTokenOperation 'Update'.").WithTarget(registrationPath + ".expirationTime")
	}
	expires := req.ExpirationTime.UTC()
	if err := deskyard.ValidateKeyLife(w.Now, expires); err != nil {
		return err
	}
	limits, keep, err := keyOptions(w.New.Envelope.Tags, req)
	if err != nil {
		return err
	}
	if !keep {
		if _, err := revokeKeys(ctx, w.Tx, pool.ObjectID, w.Now); err != nil {
			return err
		}
	}
	key := deskyard.RegistrationKey{
		ID: newID(), PoolID: w.New.ID, Pool: pool.ObjectID, CreatedAt: w.Now, CreatedBy: w.Principal.Name,
		ExpiresAt: expires, Limits: limits,
	}
	if err := w.Tx.PutRegistrationKey(ctx, key); err != nil {
		return err
	}
	token, err := s.sign(key)
	if err != nil {
		return err
	}
	w.Notes = append(w.Notes, "registration key "+key.ID+" generated, expires "+expires.Format(time.RFC3339))
	w.Response = map[string]any{"registrationInfo": registrationInfo{ExpirationTime: &arm.Time{Time: expires}, Token: &token, Operation: "Update"}}
	return nil
}

// keyOptions are a new key's limits and whether it lets the former ones live, from
// the pool's tags and the request.
func keyOptions(tags map[string]string, req registrationRequest) (limits deskyard.KeyLimits, keep bool, err error) {
	var v arm.Violations
	for name, value := range tags {
		switch strings.ToLower(name) {
		case tagKeyMaxUses:
			if limits.MaxUses, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				v.Add("tags."+name, "The tag '%s' must be a whole number; it is '%s'.", name, clip(value))
			}
		case tagKeySourceCIDR:
			limits.SourceCIDR = value
		case tagKeyNamePattern:
			limits.NamePattern = value
		case tagKeepPrevious:
			keep = strings.EqualFold(strings.TrimSpace(value), "true")
		}
	}
	if req.Deskyard != nil {
		limits = *req.Deskyard
	}
	if limits.SingleHost != "" {
		v.Add(registrationPath+".deskyard.singleHost", "A key for one host is made by listSingleSessionHostRegistrationTokens on that host.")
	}
	if limits.Run {
		v.Add(registrationPath+".deskyard.run", "A key for one run is made by addSessionHosts.")
	}
	if req.DeskyardKeepPreviousKeys != nil {
		keep = *req.DeskyardKeepPreviousKeys
	}
	limits.Validate(registrationPath+".deskyard", &v)
	return limits, keep, v.Err()
}

// revokeKeys ends every key of the pool that is still good, save those for one
// host or one run only, and says how many.
func revokeKeys(ctx context.Context, tx deskyard.Tx, pool string, now time.Time) (int, error) {
	keys, err := tx.RegistrationKeys(ctx, pool)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, k := range keys {
		if !k.RevokedAt.IsZero() || !k.Limits.OfPool() {
			continue
		}
		k.RevokedAt = now
		if err := tx.PutRegistrationKey(ctx, k); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// validKeys are the keys of a pool that can enrol any host now, newest first.
func validKeys(ctx context.Context, reader deskyard.Reader, pool string, now time.Time) ([]deskyard.RegistrationKey, error) {
	keys, err := reader.RegistrationKeys(ctx, pool)
	if err != nil {
		return nil, err
	}
	valid := keys[:0]
	for _, k := range keys {
		if k.Valid(now) && k.Limits.OfPool() {
			valid = append(valid, k)
		}
	}
	return valid, nil
}

// registrationState is registrationInfo of an answer to a write that did not touch
// the key: when it expires, never the token.
func (s *Server) registrationState(ctx context.Context, reader deskyard.Reader, pool string, now time.Time) (registrationInfo, error) {
	info := registrationInfo{Operation: "None"}
	keys, err := validKeys(ctx, reader, pool, now)
	if err == nil && len(keys) > 0 {
		info.ExpirationTime = &arm.Time{Time: keys[0].ExpiresAt}
	}
	return info, err
}

// sign renders a key as its token.
func (s *Server) sign(key deskyard.RegistrationKey) (string, error) {
	if s.tokens == nil {
		return "", arm.Errorf(arm.Unavailable, "RegistrationTokensUnavailable", "This service has no key to sign registration tokens with.")
	}
	return s.tokens.Registration(key)
}

// poolOf reads the pool that a request is about, or below which it is.
func (s *Server) poolOf(ctx context.Context, reader deskyard.Reader, id arm.ResourceID) (deskyard.Resource, *deskyard.HostPool, error) {
	for len(id.Segments) > 1 {
		id = id.Parent()
	}
	r, err := s.load(ctx, reader, id)
	if err != nil {
		return r, nil, err
	}
	m, err := readModel[deskyard.HostPool](r)
	return r, m, err
}

// currentToken is the pool's newest valid key as a client is given it; members are
// null when there is none.
func (s *Server) currentToken(ctx context.Context, pool *deskyard.HostPool) (registrationInfo, string, error) {
	info := registrationInfo{Operation: "None"}
	keys, err := validKeys(ctx, s.store, pool.ObjectID, s.now())
	if err != nil || len(keys) == 0 {
		return info, "no valid registration key", err
	}
	token, err := s.sign(keys[0])
	if err != nil {
		return info, "", err
	}
	info.ExpirationTime, info.Token = &arm.Time{Time: keys[0].ExpiresAt}, &token
	return info, "registration key " + keys[0].ID, nil
}

func (s *Server) retrieveRegistrationToken(ctx context.Context, q *Request) (Response, error) {
	_, pool, err := s.poolOf(ctx, s.store, q.ID)
	if err != nil {
		return Response{}, err
	}
	info, detail, err := s.currentToken(ctx, pool)
	if q.Version <= "2021-07-12" {
		info.ResetToken = new(bool)
	}
	q.Detail = detail
	return Response{Body: info}, err
}

func (s *Server) listRegistrationTokens(ctx context.Context, q *Request) (Response, error) {
	_, pool, err := s.poolOf(ctx, s.store, q.ID)
	if err != nil {
		return Response{}, err
	}
	keys, err := validKeys(ctx, s.store, pool.ObjectID, s.now())
	if err != nil {
		return Response{}, err
	}
	list := make([]any, 0, len(keys))
	for _, k := range keys {
		item, err := s.tokenItem(k)
		if err != nil {
			return Response{}, err
		}
		list = append(list, item)
		q.Detail = strings.TrimSpace(q.Detail + " " + k.ID)
	}
	return Response{Body: listBody{Value: list}}, nil
}

// tokenItem is a key in a list of tokens.
func (s *Server) tokenItem(k deskyard.RegistrationKey) (any, error) {
	token, err := s.sign(k)
	return struct {
		ExpirationTime arm.Time `json:"expirationTime"`
		Token          string   `json:"token"`
	}{arm.Time{Time: k.ExpiresAt}, token}, err
}

// getHostPool is GET of a pool: the generic one, save that 2019-12-10-preview shows
// the token to a caller who may retrieve it, and then says so in the audit log.
func (s *Server) getHostPool(ctx context.Context, q *Request) (Response, error) {
	r, pool, err := s.poolOf(ctx, s.store, q.ID)
	if err != nil {
		return Response{}, err
	}
	bodies, err := s.renderHostPools(ctx, s.liveView(q, s.store), []deskyard.Resource{r})
	if err != nil {
		return Response{}, err
	}
	body := bodies[0]
	retrieve := desktopAction("hostPools/retrieveRegistrationToken/action")
	if q.Version == previewToken && s.access.Allow(ctx, q.Principal, retrieve, q.ID) == nil {
		info, detail, err := s.currentToken(ctx, pool)
		if err != nil {
			return Response{}, err
		}
		if body, err = withProperties(body, map[string]any{"registrationInfo": info}); err != nil {
			return Response{}, err
		}
		q.auditAs(retrieve, detail)
	}
	return Response{Body: body, Header: http.Header{"Etag": {etag(r)}}}, nil
}

// auditAs has the request audited although it is a GET.
func (q *Request) auditAs(action, detail string) {
	q.audit.wanted, q.audit.event.Action, q.Detail = true, action, detail
}
