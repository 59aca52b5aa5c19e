package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// machineStep is how far the making of a machine has come. Each is written down
// before what follows it is begun, so that whoever goes on after kill -9 knows the
// least that is true of the world.
type machineStep string

const (
	stepNew     machineStep = ""        // nothing is made
	stepPlaced  machineStep = "placed"  // a host is chosen, an invitation sealed; pieces may be there
	stepMade    machineStep = "made"    // disk and definition stand, its rules are set; off
	stepStarted machineStep = "started" // it boots; the guest is awaited
	stepLinked  machineStep = "linked"  // the guest's link stood
	stepReady   machineStep = "ready"   // as its row says
	stepFailed  machineStep = "failed"  // kept for diagnosis; another PUT tries again
)

// Power states of the instance view.
const (
	powerRunning     = "running"
	powerStopped     = "stopped"
	powerDeallocated = "deallocated"
	powerHibernated  = "hibernated"
	powerStarting    = "starting"
	powerStopping    = "stopping"
	powerUnknown     = "unknown"
)

// machineState is what a machine's row of work keeps.
type machineState struct {
	MachineID string      `json:"machineId,omitempty"`
	Step      machineStep `json:"step,omitempty"`
	FailedAt  machineStep `json:"failedAt,omitempty"` // where a failed one got stuck
	Place     place       `json:"place,omitzero"`
	NICs      []string    `json:"nics,omitempty"` // ids of interfaces that say they are attached to it
	Want      string      `json:"want,omitempty"` // power state asked for last
	BootBy    time.Time   `json:"bootBy,omitzero"`
	Since     time.Time   `json:"since,omitzero"` // when it came to this step
	Began     time.Time   `json:"began,omitzero"` // when its making did
	Linked    bool        `json:"linked,omitempty"`
	Round     int         `json:"round,omitempty"` // makings so far: part of step ids in the guest

	Orders []order  `json:"orders,omitempty"` // oldest first
	Seen   sighting `json:"seen,omitzero"`
	Rules  string   `json:"rules,omitempty"`  // digest of the security rules that its hypervisor was given last
	Reason string   `json:"reason,omitempty"` // as it stands in the row
}

// order is a job that was asked for and has not ended.
type order struct {
	Verb      string             `json:"verb"`
	Operation string             `json:"operation"`
	Caller    deskyard.Principal `json:"caller"`
	Settings  json.RawMessage    `json:"settings,omitempty"`
	Halfway   bool               `json:"halfway,omitempty"` // a restart that has stopped the machine
}

// sighting is a machine as it was seen last; it is written when it changes.
type sighting struct {
	Power   string    `json:"power,omitempty"`
	Problem string    `json:"problem,omitempty"`
	At      time.Time `json:"at,omitzero"` // of the change
}

// deleting reports whether the machine is to go.
func (st *machineState) deleting() bool {
	return slices.ContainsFunc(st.Orders, func(o order) bool { return o.Verb == deskyard.JobDelete })
}

// machineSecrets is the sealed part of a machine's work.
type machineSecrets struct {
	AdminPassword string               `json:"adminPassword,omitempty"`
	CustomData    string               `json:"customData,omitempty"` // base64, as in osProfile
	Invitation    *deskyard.Invitation `json:"invitation,omitempty"` // until the guest has used it
}

// machineRun is one turn at one machine.
type machineRun struct {
	s       *Service
	id      arm.ResourceID
	st      machineState
	secrets machineSecrets
	row     deskyard.Resource
	gone    bool // the row is
	facts   machineFacts
}

// openMachine reads a machine's row of work.
func (s *Service) openMachine(w deskyard.Work) (machineState, machineSecrets, error) {
	var st machineState
	var secrets machineSecrets
	if len(w.State) > 0 {
		if err := json.Unmarshal(w.State, &st); err != nil {
			return st, secrets, fmt.Errorf("read how far %s has come: %w", w.ID, err)
		}
	}
	if len(w.Sealed) > 0 {
		plain, err := s.o.Seal.Open(w.Sealed, w.ID.Key())
		if err != nil {
			return st, secrets, fmt.Errorf("open the secrets of %s: %w", w.ID, err)
		}
		if err := json.Unmarshal(plain, &secrets); err != nil {
			return st, secrets, fmt.Errorf("read the secrets of %s: they are not what was sealed", w.ID)
		}
	}
	return st, secrets, nil
}

// closeMachine puts state and secrets back into a row of work.
func (s *Service) closeMachine(w *deskyard.Work, st machineState, secrets machineSecrets) error {
	var err error
	if w.State, err = json.Marshal(st); err != nil {
		return fmt.Errorf("note how far %s has come: %w", w.ID, err)
	}
	if secrets == (machineSecrets{}) {
		w.Sealed = nil
		return nil
	}
	plain, err := json.Marshal(secrets)
	if err != nil {
		return fmt.Errorf("note the secrets of %s: %w", w.ID, err)
	}
	w.Sealed = s.o.Seal.Seal(plain, w.ID.Key())
	return nil
}

// change is a change of a machine's state in a transaction.
type change struct {
	tx      deskyard.Tx
	st      *machineState
	secrets *machineSecrets
	now     time.Time
}

// alter changes the machine's state as it stands now: orders may have come since it
// was read. The run goes on with what was written.
func (m *machineRun) alter(ctx context.Context, f func(ctx context.Context, c change) error) error {
	err := m.s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		w, err := tx.Work(ctx, deskyard.WorkMachine, m.id)
		if err != nil {
			return err
		}
		st, secrets, err := m.s.openMachine(w)
		if err != nil {
			return err
		}
		before := st.Step
		c := change{tx: tx, st: &st, secrets: &secrets, now: m.s.now()}
		if err := f(ctx, c); err != nil {
			return err
		}
		if st.Step != before {
			st.Since = c.now
		}
		if err := m.s.closeMachine(&w, st, secrets); err != nil {
			return err
		}
		w.Changed = c.now
		m.st, m.secrets = st, secrets
		_, err = tx.PutWork(ctx, w)
		return err
	})
	if err != nil {
		return err
	}
	m.s.machines.note(m.id, m.st)
	return nil
}

// rowState is the part of a machine's row that making it fills in.
type rowState struct {
	Provisioning string     // "": as it is
	Reason       string     // one sentence; "" clears it
	Error        *arm.Error // why it is Failed; nil clears it
}

// showState writes how a resource stands into its row.
func showState(ctx context.Context, tx deskyard.Tx, id arm.ResourceID, n rowState) error {
	return alterRow(ctx, tx, id, func(p map[string]json.RawMessage) {
		if n.Provisioning != "" {
			p["provisioningState"] = quoted(n.Provisioning)
		}
		delete(p, "statusReason")
		if n.Reason != "" {
			p["statusReason"] = quoted(n.Reason)
		}
		delete(p, "error")
		if n.Error != nil {
			p["error"] = encoded(n.Error)
		}
	})
}

// alterRow changes members of a row's properties; a row that is gone is none.
func alterRow(ctx context.Context, tx deskyard.Tx, id arm.ResourceID, f func(properties map[string]json.RawMessage)) error {
	r, err := tx.Resource(ctx, id)
	if arm.IsMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	p := map[string]json.RawMessage{}
	if len(r.Properties) > 0 {
		if err := json.Unmarshal(r.Properties, &p); err != nil {
			return fmt.Errorf("read stored properties of %s: %w", id, err)
		}
	}
	f(p)
	was := string(r.Properties)
	if r.Properties, err = json.Marshal(p); err != nil {
		return fmt.Errorf("encode properties of %s: %w", id, err)
	}
	if string(r.Properties) == was {
		return nil
	}
	_, err = tx.PutResource(ctx, r)
	return err
}

// quoted is a text as JSON.
func quoted(s string) json.RawMessage { return encoded(s) }

// encoded is a value whose encoding cannot fail as JSON.
func encoded(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err)) // only types of our own that JSON can say
	}
	return b
}

// endOperation writes down how an operation ended; one that is not known, or has
// ended, is left alone.
func endOperation(ctx context.Context, tx deskyard.Tx, id, status string, at time.Time, failure *arm.Error) error {
	if id == "" {
		return nil
	}
	op, err := tx.Operation(ctx, id)
	if arm.IsMissing(err) {
		return nil
	}
	if err != nil || op.Done() {
		return err
	}
	op.Status, op.Ended, op.Percent, op.Error = status, at, 100, failure
	return tx.PutOperation(ctx, op)
}
