package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// jobRemake is the order to make a machine anew from its image: same row, interface,
// address and id; another disk and another guest.
const jobRemake = "remake"

// remake has the machine made anew and waits for it.
func (r *removalRun) remake(ctx context.Context) (did, error) {
	work := parsed(r.st.Work)
	if !r.st.Asked {
		err := r.alter(ctx, func(ctx context.Context, tx deskyard.Tx) error {
			r.st.Asked = true
			op := deskyard.Operation{ID: uuid.NewString(), Scope: work, Status: stateRunning, Started: r.s.now()}
			if err := r.s.submitMachine(ctx, tx, deskyard.Job{Kind: deskyard.WorkMachine, Verb: jobRemake, ID: work, Caller: r.st.Caller}, &op); err != nil {
				return err
			}
			return tx.PutOperation(ctx, op)
		})
		if err != nil {
			return did{}, err
		}
		r.s.Wake(deskyard.WorkMachine, work)
		return did{wait: removalLook}, nil
	}
	var p deskyard.Provisioning
	row, err := r.s.o.Store.Resource(ctx, work)
	if err == nil {
		err = readProperties(row, &p)
	}
	if err != nil {
		return did{}, err
	}
	var st machineState
	w, err := r.s.o.Store.Work(ctx, deskyard.WorkMachine, work)
	if err == nil {
		err = json.Unmarshal(w.State, &st)
	}
	switch {
	case err != nil:
		return did{}, err
	case len(st.Orders) > 0 || st.Step != stepReady && st.Step != stepFailed:
		return did{wait: removalLook}, nil
	case st.Step == stepFailed:
		return did{failed: arm.Errorf(arm.Conflicting, "SessionHostNotReplaced", "The machine was not made anew: %s", p.StatusReason)}, r.alter(ctx, func(context.Context, deskyard.Tx) error {
			r.st.Asked = false // asking again tries again
			return nil
		})
	}
	return did{}, nil
}

// repeatExtensions runs the machine's extensions again in the new guest, the agent's
// with a key for this one host, and waits for their ends.
func (r *removalRun) repeatExtensions(ctx context.Context) (did, error) {
	vm := parsed(r.st.VM)
	rows, err := r.s.o.Store.Resources(ctx, deskyard.ResourceQuery{Scope: vm, Type: vm.Type() + "/extensions"})
	if err != nil {
		return did{}, err
	}
	if len(rows.Items) == 0 {
		return did{skipped: "The machine has no extensions; install the agent on it by your own means."}, nil
	}
	if r.st.Key == "" {
		return did{wait: removalLook}, r.submitExtensions(ctx, rows.Items)
	}
	for _, row := range rows.Items {
		var p deskyard.Provisioning
		if err := readProperties(row, &p); err != nil {
			return did{}, err
		}
		switch p.ProvisioningState {
		case stateSucceeded:
		case stateFailed:
			return did{failed: arm.Errorf(arm.Conflicting, "SessionHostNotReplaced", "The extension '%s' failed in the new machine: %s", row.ID.Name(), p.StatusReason)}, r.alter(ctx, func(context.Context, deskyard.Tx) error {
				r.st.Key = ""
				return nil
			})
		default:
			return did{wait: removalLook}, nil
		}
	}
	return did{}, nil
}

// submitExtensions asks for every extension again, in the order of their making.
func (r *removalRun) submitExtensions(ctx context.Context, rows []deskyard.Resource) error {
	if r.s.o.Tokens == nil {
		return errors.New("the service signs no registration keys")
	}
	pool, err := r.s.o.Store.Resource(ctx, r.id.Parent())
	if err != nil {
		return err
	}
	var model deskyard.HostPool
	if err := readProperties(pool, &model); err != nil {
		return err
	}
	now := r.s.now()
	key := deskyard.RegistrationKey{ID: uuid.NewString(), PoolID: pool.ID, Pool: model.ObjectID, CreatedAt: now, CreatedBy: r.st.Caller.Name,
		ExpiresAt: now.Add(runKeyLife), Limits: deskyard.KeyLimits{MaxUses: 1, SingleHost: r.id.Name()}}
	token, err := r.s.o.Tokens.Registration(key)
	if err != nil {
		return err
	}
	err = r.alter(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		r.st.Key = key.ID
		if err := tx.PutRegistrationKey(ctx, key); err != nil {
			return err
		}
		for _, row := range rows {
			j := deskyard.Job{Kind: deskyard.WorkExtension, Verb: deskyard.JobPut, ID: row.ID, Caller: r.st.Caller}
			var err error
			if j.Secrets, err = r.newSecrets(ctx, tx, row, token); err != nil {
				return err
			}
			if err := showState(ctx, tx, row.ID, rowState{Provisioning: deskyard.StateUpdating}); err != nil {
				return err
			}
			if _, err := r.s.Submit(ctx, tx, j); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("run the extensions of %s again: %w", r.st.VM, err)
	}
	for _, row := range rows {
		r.s.Wake(deskyard.WorkExtension, row.ID)
	}
	return nil
}

// newSecrets are the protected settings that an extension runs in the new machine with;
// nil leaves it those that it has.
func (r *removalRun) newSecrets(ctx context.Context, tx deskyard.Tx, row deskyard.Resource, token string) (json.RawMessage, error) {
	var e deskyard.VMExtension
	if err := readProperties(row, &e); err != nil {
		return nil, err
	}
	w, err := tx.Work(ctx, deskyard.WorkExtension, row.ID)
	if err != nil && !arm.IsMissing(err) {
		return nil, err
	}
	var kept json.RawMessage
	if w.Sealed != nil {
		if kept, err = r.s.o.Seal.Open(w.Sealed, extensionBox(row.ID)); err != nil {
			return nil, fmt.Errorf("open the protected settings of %s: %w", row.ID, err)
		}
	}
	secrets, err := rekeyed(e, kept, token)
	if err != nil {
		return nil, fmt.Errorf("give %s another registration key: %w", row.ID, err)
	}
	return secrets, nil
}

// registerTime is how long the new machine may take from its agent's installation to
// its registration.
const registerTime = 10 * time.Minute

// restore gives the new host what the old one's record knew.
func (r *removalRun) restore(ctx context.Context) (d did, err error) {
	err = r.s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		d = did{}
		h, err := tx.SessionHost(ctx, r.id)
		if arm.IsMissing(err) {
			d.wait = removalLook
			if began := r.st.began(replaceHost, r.s.now()); r.s.now().Sub(began) > registerTime {
				d = did{failed: arm.Errorf(arm.Conflicting, "SessionHostNotRegistered",
					"The new machine of '%s' did not register within %s. Look at its agent: deskyard sessionhost show; then repeat.", r.id.Name(), registerTime)}
			}
			return nil
		}
		if err != nil {
			return err
		}
		h.AssignedUser, h.FriendlyName, h.AllowNewSession = r.st.Memory.AssignedUser, r.st.Memory.FriendlyName, r.st.Memory.Allow
		_, err = tx.PutSessionHost(ctx, h)
		return err
	})
	return d, err
}

// began is when the step before one ended.
func (st *removalState) began(name string, now time.Time) time.Time {
	at := now
	for _, s := range st.Steps {
		if s.Name == name {
			return at
		}
		if !s.Ended.IsZero() {
			at = s.Ended
		}
	}
	return at
}

// equalType reports whether a resource is of a type, in any case.
func equalType(id arm.ResourceID, typ string) bool { return strings.EqualFold(id.Type(), typ) }
