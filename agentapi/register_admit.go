package agentapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// maxHosts is how many session hosts a pool may have (AVD service limits).
const maxHosts = 10000

// mixedIdentityTag on a host pool with the value "true" lifts the rule that all
// its hosts are joined to one identity provider.
const mixedIdentityTag = "deskyard-allow-mixed-identity"

// admitMachine decides on a registration and stores the host, its key's use and
// the audit event, inside one transaction.
func (s *Server) admitMachine(ctx context.Context, tx deskyard.Tx, a *attempt) (h deskyard.SessionHost, adopted bool, err error) {
	key, pool, err := openPool(ctx, tx, a)
	if err != nil {
		return h, false, err
	}
	a.scope = key.PoolID.String()
	if err := key.Admit(a.at, a.name, a.from); err != nil {
		return h, false, err
	}
	id := key.PoolID.Child("sessionHosts", a.name)
	old, err := tx.SessionHost(ctx, id)
	switch {
	case arm.IsMissing(err):
		err = nil
	case err != nil:
		return h, false, err
	default:
		adopted = true
		if err := s.adoptable(old, a); err != nil {
			return h, false, err
		}
	}
	if err := compatible(ctx, tx, pool, id, a.machine); err != nil {
		return h, false, err
	}
	if !adopted {
		n, err := tx.CountSessionHosts(ctx, key.PoolID)
		if err != nil {
			return h, false, err
		}
		if n >= maxHosts {
			return h, false, arm.Errorf(arm.Conflicting, "HOST_POOL_FULL", "The host pool has %d session hosts, the most that one may have. Use another host pool.", n)
		}
		old = deskyard.SessionHost{ID: id, ObjectID: uuid.NewString(), AllowNewSession: true}
	}
	repeated := adopted && bytes.Equal(old.PublicKey, a.request.PublicKey) && old.RevokedAt.IsZero() && old.EnrolledBy == key.ID
	if !repeated { // an answer that was lost on its way must not cost a second use
		if err := tx.UseRegistrationKey(ctx, key.ID); err != nil {
			return h, false, err
		}
	}
	next := enrolled(old, key, a)
	if next.ResourceID, err = ownMachine(ctx, tx, a.machine, old); err != nil {
		return h, false, err
	}
	if h, err = tx.PutSessionHost(ctx, next); err != nil {
		return h, false, err
	}
	word := "registered"
	if adopted {
		word = "adopted"
	}
	return h, adopted, tx.AppendAudit(ctx, a.event(http.StatusOK, "", word+" "+h.ID.String()+" as "+h.ObjectID))
}

// ownMachine is the resource of a machine that the service itself made; what an old
// record says stays for others.
func ownMachine(ctx context.Context, tx deskyard.Tx, m deskyard.Machine, old deskyard.SessionHost) (string, error) {
	if m.SMBIOSID == "" {
		return old.ResourceID, nil
	}
	g, err := tx.Guest(ctx, m.SMBIOSID)
	if arm.IsMissing(err) {
		return old.ResourceID, nil
	}
	return g.VM.String(), err
}

// enrolled is old with what a registration renews. Drain mode, assignment and
// names are the administrator's and stay.
func enrolled(old deskyard.SessionHost, key deskyard.RegistrationKey, a *attempt) deskyard.SessionHost {
	h := old
	h.Pool, h.EnrolledBy, h.RegisteredAt = key.Pool, key.ID, a.at
	h.Machine, h.PublicKey = a.machine, a.request.PublicKey
	h.VirtualMachineID = strings.ToLower(a.machine.SMBIOSID)
	h.Epoch, h.NextEpoch = "", ""
	h.RevokedAt, h.RevokedReason = deskyard.SessionHost{}.RevokedAt, ""
	h.Refused, h.RefusedAt = "", deskyard.SessionHost{}.RefusedAt
	h.Report, h.EverOnline = deskyard.HostReport{}, false
	h.StatusAt = a.at
	h.Update = deskyard.UpdateRecord{State: updateInitial, At: a.at}
	return h
}

// openPool finds the key's record and its pool. A key whose record or pool is gone
// is worth nothing, and so is one of a pool that has been made anew under its name.
func openPool(ctx context.Context, tx deskyard.Tx, a *attempt) (key deskyard.RegistrationKey, pool deskyard.Resource, err error) {
	invalid := func(why string) error {
		return arm.Errorf(arm.Forbidden, "INVALID_REGISTRATION_TOKEN", "The registration key is not valid: %s. Generate a new key for the host pool.", why)
	}
	key, err = tx.RegistrationKey(ctx, a.keyID)
	if arm.IsMissing(err) {
		return key, pool, invalid("it was deleted")
	}
	if err != nil {
		return key, pool, err
	}
	if !strings.EqualFold(key.Pool, a.pool) {
		return key, pool, invalid("it is for another host pool")
	}
	pool, err = tx.Resource(ctx, key.PoolID)
	if arm.IsMissing(err) {
		return key, pool, invalid("its host pool was deleted")
	}
	if err != nil {
		return key, pool, err
	}
	props, err := poolProperties(pool)
	if err != nil {
		return key, pool, err
	}
	if !strings.EqualFold(props.ObjectID, key.Pool) {
		return key, pool, invalid("its host pool was deleted and made anew")
	}
	return key, pool, nil
}

// adoptable says whether the machine may take over the record that has its name:
// when it is the machine that the record is of.
func (s *Server) adoptable(old deskyard.SessionHost, a *attempt) error {
	taken := func(why string) error {
		return arm.Errorf(arm.Conflicting, "NAME_ALREADY_REGISTERED",
			"The host pool has a session host %q already: %s. Remove that session host from the pool, or rename this machine.", a.name, why)
	}
	alive := s.Lease(old.ObjectID).Alive(a.at)
	ownKey := bytes.Equal(old.PublicKey, a.request.PublicKey)
	switch {
	case ownKey && sameSMBIOS(old.Machine, a.machine), ownKey && !alive:
		return nil
	case ownKey:
		return taken("it is connected, and this machine is a copy of its disk")
	case sameMachine(old.Machine, a.machine) && !alive:
		return nil
	case sameMachine(old.Machine, a.machine):
		return taken("it is connected with another key, and has the same machine id and SMBIOS id")
	case old.Machine.MachineID == a.machine.MachineID:
		return taken("it has the same machine id and another SMBIOS id, so one is a copy of the other's disk")
	}
	return taken("it is another machine")
}

// compatible holds a pool's hosts to one substrate and one identity provider.
func compatible(ctx context.Context, tx deskyard.Tx, pool deskyard.Resource, self arm.ResourceID, m deskyard.Machine) error {
	mixed := pool.Envelope.Tags[mixedIdentityTag] == "true"
	identityChecked := mixed
	q := deskyard.HostQuery{Pool: pool.ID, Limit: 50}
	for {
		page, err := tx.SessionHosts(ctx, q)
		if err != nil {
			return err
		}
		for _, h := range page.Items {
			if h.ID.Equal(self) {
				continue
			}
			if !identityChecked && !strings.EqualFold(h.Machine.Identity, m.Identity) {
				return arm.Errorf(arm.Conflicting, "IDENTITY_PROVIDER_MISMATCH",
					"The host pool's hosts are %s and this machine is %s; users could not sign in to both. Join it to the same directory, or set the pool's tag %s to true.",
					joined(h.Machine.Identity), joined(m.Identity), mixedIdentityTag)
			}
			identityChecked = true // the rule holds among the others already
			if h.Machine.Kind == "" || m.Kind == "" {
				continue
			}
			if h.Machine.Kind != m.Kind {
				return arm.Errorf(arm.Conflicting, "SUBSTRATE_MISMATCH",
					"The host pool's hosts run on %s and this machine on %s; a pool has hosts of one kind. Use another host pool.", h.Machine.Kind, m.Kind)
			}
			return nil
		}
		if page.Next == "" || m.Kind == "" {
			return nil
		}
		q.After = page.Next
	}
}

func joined(identity string) string {
	if identity == "" {
		return "not joined to a directory"
	}
	return "joined to " + identity
}

func poolProperties(r deskyard.Resource) (deskyard.HostPool, error) {
	var p deskyard.HostPool
	if err := json.Unmarshal(r.Properties, &p); err != nil {
		return p, fmt.Errorf("decode host pool %s: %w", r.ID, err)
	}
	return p, nil
}
