package armapi

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// keyRecord is a registration key as listRegistrationKeys (Deskyard's own action)
// shows it: everything but the token.
type keyRecord struct {
	ID             string             `json:"id"`
	CreatedAt      arm.Time           `json:"createdAt"`
	CreatedBy      string             `json:"createdBy"`
	ExpirationTime arm.Time           `json:"expirationTime"`
	RevokedAt      *arm.Time          `json:"revokedAt"`
	State          string             `json:"state"` // Valid | Expired | Revoked | Exhausted
	Uses           int                `json:"uses"`
	Limits         deskyard.KeyLimits `json:"limits"`
	SessionHosts   []string           `json:"sessionHosts"` // hosts still in the pool that it enrolled
}

func (s *Server) listRegistrationKeys(ctx context.Context, q *Request) (Response, error) {
	r, pool, err := s.poolOf(ctx, s.store, q.ID)
	if err != nil {
		return Response{}, err
	}
	keys, err := s.store.RegistrationKeys(ctx, pool.ObjectID)
	if err != nil {
		return Response{}, err
	}
	hosts, err := s.store.SessionHosts(ctx, deskyard.HostQuery{Pool: r.ID})
	if err != nil {
		return Response{}, err
	}
	enrolled := map[string][]string{}
	for _, h := range hosts.Items {
		by := strings.ToLower(h.EnrolledBy)
		enrolled[by] = append(enrolled[by], s.wireIDOf(h.ID))
	}
	list := make([]any, len(keys))
	for i, k := range keys {
		list[i] = recordOf(k, enrolled[strings.ToLower(k.ID)], s.now())
	}
	return Response{Body: listBody{Value: list}}, nil
}

func recordOf(k deskyard.RegistrationKey, hosts []string, now time.Time) keyRecord {
	rec := keyRecord{
		ID: k.ID, CreatedAt: arm.Time{Time: k.CreatedAt}, CreatedBy: k.CreatedBy, ExpirationTime: arm.Time{Time: k.ExpiresAt},
		State: "Valid", Uses: k.Uses, Limits: k.Limits, SessionHosts: hosts,
	}
	if rec.SessionHosts == nil {
		rec.SessionHosts = []string{}
	}
	switch {
	case !k.RevokedAt.IsZero():
		rec.State, rec.RevokedAt = "Revoked", &arm.Time{Time: k.RevokedAt}
	case !k.Valid(now):
		rec.State = "Expired"
	case k.Limits.MaxUses > 0 && k.Uses >= k.Limits.MaxUses:
		rec.State = "Exhausted"
	}
	return rec
}

// revocation is the body of revokeRegistrationKey.
type revocation struct {
	KeyID       string `json:"keyId"`
	RevokeHosts bool   `json:"revokeHosts"`
}

// revokeRegistrationKey ends a key at once, and with revokeHosts every machine that
// it enrolled: for a key that got into the wrong hands.
func (s *Server) revokeRegistrationKey(ctx context.Context, q *Request) (Response, error) {
	var req revocation
	if err := q.Decode(&req); err != nil {
		return Response{}, err
	}
	if req.KeyID == "" {
		return Response{}, arm.Errorf(arm.Invalid, "InvalidParameter",
			"The property 'keyId' is required: the id of a key as listRegistrationKeys gives it.").WithTarget("keyId")
	}
	var revoked []deskyard.SessionHost
	var key deskyard.RegistrationKey
	err := q.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		r, pool, err := s.poolOf(ctx, tx, q.ID)
		if err != nil {
			return err
		}
		now := storeTime(s.now())
		if key, err = keyOfPool(ctx, tx, pool, req.KeyID); err != nil {
			return err
		}
		if key.RevokedAt.IsZero() {
			key.RevokedAt = now
			if err := tx.PutRegistrationKey(ctx, key); err != nil {
				return err
			}
		}
		revoked = nil
		if req.RevokeHosts {
			if revoked, err = revokeEnrolled(ctx, tx, r.ID, key.ID, now); err != nil {
				return err
			}
		}
		q.Detail = fmt.Sprintf("registration key %s revoked, %d session hosts revoked", key.ID, len(revoked))
		return nil
	})
	if err != nil {
		return Response{}, err
	}
	s.Changed([]arm.ResourceID{q.ID}) // keys are no resources: whoever shows the pool looks again
	names := []string{}
	for _, h := range revoked {
		s.fleet.Drop(h.ObjectID, h.RevokedReason)
		names = append(names, s.wireIDOf(h.ID))
	}
	return Response{Body: struct {
		keyRecord
		Revoked []string `json:"revokedSessionHosts"`
	}{recordOf(key, nil, s.now()), names}}, nil
}

// keyOfPool reads a key and refuses one of another pool.
func keyOfPool(ctx context.Context, tx deskyard.Tx, pool *deskyard.HostPool, id string) (deskyard.RegistrationKey, error) {
	key, err := tx.RegistrationKey(ctx, id)
	if arm.IsMissing(err) || err == nil && !strings.EqualFold(key.Pool, pool.ObjectID) {
		return key, arm.Errorf(arm.Missing, "RegistrationKeyNotFound",
			"The host pool has no registration key '%s'. listRegistrationKeys gives those that it has.", clip(id)).WithTarget("keyId")
	}
	return key, err
}

// revokeEnrolled revokes the hosts of a pool that one key enrolled.
func revokeEnrolled(ctx context.Context, tx deskyard.Tx, pool arm.ResourceID, keyID string, now time.Time) ([]deskyard.SessionHost, error) {
	hosts, err := tx.SessionHosts(ctx, deskyard.HostQuery{Pool: pool})
	if err != nil {
		return nil, err
	}
	var revoked []deskyard.SessionHost
	for _, h := range hosts.Items {
		if !strings.EqualFold(h.EnrolledBy, keyID) || !h.RevokedAt.IsZero() {
			continue
		}
		h.RevokedAt, h.StatusAt = now, now
		h.RevokedReason = "the registration key that enrolled it was revoked"
		if h, err = tx.PutSessionHost(ctx, h); err != nil {
			return nil, err
		}
		revoked = append(revoked, h)
	}
	return revoked, nil
}

// scopedToken is the body of listSingleSessionHostRegistrationTokens.
type scopedToken struct {
	ExpirationTime *arm.Time `json:"expirationTimeInUtc"`
}

// listSingleHostTokens (preview of 2026) makes a key with which only the host named
// in the URL can register, and answers it as a list of one. The host need not exist yet.
func (s *Server) listSingleHostTokens(ctx context.Context, q *Request) (Response, error) {
	var req scopedToken
	if err := q.Decode(&req); err != nil {
		return Response{}, err
	}
	if req.ExpirationTime == nil {
		return Response{}, arm.Errorf(arm.Invalid, "InvalidParameter", "The property 'expirationTimeInUtc' is required.").WithTarget("expirationTimeInUtc")
	}
	if err := checkName(q.Type, q.ID.Name()); err != nil {
		return Response{}, err
	}
	var key deskyard.RegistrationKey
	err := q.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		r, pool, err := s.poolOf(ctx, tx, q.ID)
		if err != nil {
			return err
		}
		now := storeTime(s.now())
		if err := deskyard.ValidateKeyLife(now, req.ExpirationTime.Time); err != nil {
			return err
		}
		key = deskyard.RegistrationKey{
			ID: newID(), PoolID: r.ID, Pool: pool.ObjectID, CreatedAt: now, CreatedBy: q.Principal.Name,
			ExpiresAt: req.ExpirationTime.UTC(), Limits: deskyard.KeyLimits{SingleHost: q.ID.Name()},
		}
		q.Detail = "registration key " + key.ID + " for the session host " + q.ID.Name()
		return tx.PutRegistrationKey(ctx, key)
	})
	if err != nil {
		return Response{}, err
	}
	item, err := s.tokenItem(key)
	return Response{Body: listBody{Value: []any{item}}}, err
}
