package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/compute"
)

// Submit notes a job in tx and returns the operation that clients poll. Its work
// begins with Wake after the commit, or, were that lost, with the next start.
func (s *Service) Submit(ctx context.Context, tx deskyard.Tx, j deskyard.Job) (deskyard.Operation, error) {
	op := deskyard.Operation{ID: uuid.NewString(), Scope: j.ID, Status: stateRunning, Started: s.now()}
	var err error
	switch j.Kind {
	case deskyard.WorkMachine:
		err = s.submitMachine(ctx, tx, j, &op)
	case workGroup:
		err = s.submitGroup(ctx, tx, j, &op)
	case deskyard.WorkExtension:
		err = s.submitExtension(ctx, tx, j, &op)
	case deskyard.WorkCommand:
		err = s.submitCommand(ctx, tx, j, &op)
	default:
		err = fmt.Errorf("submit a job for %s: the kind %q is not known", j.ID, j.Kind)
	}
	if err != nil {
		return deskyard.Operation{}, err
	}
	return op, tx.PutOperation(ctx, op)
}

// submitMachine adds an order to a machine's work.
func (s *Service) submitMachine(ctx context.Context, tx deskyard.Tx, j deskyard.Job, op *deskyard.Operation) error {
	now := s.now()
	w, err := tx.Work(ctx, deskyard.WorkMachine, j.ID)
	if arm.IsMissing(err) {
		w, err = deskyard.Work{Kind: deskyard.WorkMachine, ID: j.ID, Created: now}, nil
	}
	if err != nil {
		return err
	}
	st, secrets, err := s.openMachine(w)
	if err != nil {
		return err
	}
	if st.deleting() && j.Verb != deskyard.JobDelete {
		return arm.Errorf(arm.Conflicting, "OperationNotAllowed", "The machine '%s' is being deleted. Wait until it is gone.", j.ID.Name())
	}
	if j.Secrets != nil {
		if err := mergeSecrets(&secrets, j.Secrets); err != nil {
			return fmt.Errorf("read the secrets for %s: they are not as agreed", j.ID)
		}
	}
	st.Orders = append(st.Orders, order{Verb: j.Verb, Operation: op.ID, Caller: j.Caller, Settings: j.Settings})
	if err := s.closeMachine(&w, st, secrets); err != nil {
		return err
	}
	w.Due, w.Changed, w.Attempts, w.Problem = now, now, 0, ""
	_, err = tx.PutWork(ctx, w)
	return err
}

// mergeSecrets lays what was sent over what is kept; what is absent stays.
func mergeSecrets(secrets *machineSecrets, sent json.RawMessage) error {
	var now struct {
		AdminPassword *string `json:"adminPassword"`
		CustomData    *string `json:"customData"`
	}
	if err := json.Unmarshal(sent, &now); err != nil {
		return err
	}
	if now.AdminPassword != nil {
		secrets.AdminPassword = *now.AdminPassword
	}
	if now.CustomData != nil {
		secrets.CustomData = *now.CustomData
	}
	return nil
}

// Admit checks a machine's or an extension's row before it is stored: what needs
// other rows, hypervisors or the catalogue. Hypervisors are not asked here, in the
// midst of a transaction; what they last answered counts.
func (s *Service) Admit(ctx context.Context, tx deskyard.Tx, r, old *deskyard.Resource) error {
	switch strings.ToLower(r.ID.Type()) {
	case typeVM, typeInstance:
		return s.admitMachine(ctx, tx, r, old)
	case typeVM + "/extensions", typeArc + "/extensions":
		return s.admitExtension(r)
	}
	return arm.Errorf(arm.Invalid, "NotSupported", "Resources of the type '%s' are not made here.", r.ID.Type())
}

func (s *Service) admitMachine(ctx context.Context, tx deskyard.Tx, r, old *deskyard.Resource) error {
	f, err := readMachine(ctx, tx, *r)
	if err != nil {
		return err
	}
	if old != nil {
		if err := admitChange(ctx, tx, f, *old); err != nil {
			return err
		}
		w, err := tx.Work(ctx, deskyard.WorkMachine, r.ID)
		if err == nil {
			st, _, err := s.openMachine(deskyard.Work{ID: w.ID, State: w.State})
			if err != nil || st.Place.Host != "" {
				return err // it has its place already
			}
		} else if !arm.IsMissing(err) {
			return err
		}
	}
	n, err := s.examine(ctx, tx, r.ID, f, 0)
	if err != nil {
		return err
	}
	if err := s.readLedger(ctx); err != nil {
		return err
	}
	return s.admitRoom(r.ID, f, n)
}

// examine holds a machine to its interfaces, size, image and availability set, which
// more machines than stand may be on their way into, and says what it needs.
func (s *Service) examine(ctx context.Context, reader deskyard.Reader, id arm.ResourceID, f machineFacts, more int) (need, error) {
	if err := admitNICs(ctx, reader, id, f); err != nil {
		return need{}, err
	}
	if _, _, _, err := f.shape(); err != nil {
		return need{}, err
	}
	image, err := s.findImage(ctx, reader, f.location, f.Storage.Image)
	if err != nil {
		return need{}, err
	}
	if err := checkImage(f, image); err != nil {
		return need{}, err
	}
	if err := s.admitSet(ctx, reader, id, f, more); err != nil {
		return need{}, err
	}
	return f.needs(image), nil
}

// admitChange refuses changes that would need another machine.
func admitChange(ctx context.Context, tx deskyard.Tx, f machineFacts, old deskyard.Resource) error {
	var was machineProperties
	if err := readProperties(old, &was); err != nil {
		return err
	}
	if was.ProvisioningState == "Deleting" {
		return arm.Errorf(arm.Conflicting, "OperationNotAllowed", "The machine '%s' is being deleted. Wait until it is gone.", old.ID.Name())
	}
	w, err := tx.Work(ctx, deskyard.WorkMachine, old.ID)
	if arm.IsMissing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	var st machineState
	if err := json.Unmarshal(w.State, &st); err != nil || st.Place.Host == "" {
		return err
	}
	fixed := func(path string, same bool) error {
		if same {
			return nil
		}
		return arm.Errorf(arm.Conflicting, "PropertyChangeNotAllowed",
			"Changing property '%s' is not allowed. Replace the machine: delete it and create it anew, or deskyard sessionhost replace.", path).WithTarget("properties." + path)
	}
	var sets [2]string
	for i, p := range []machineProperties{was, f.machineProperties} {
		if p.Set != nil {
			sets[i] = strings.ToLower(p.Set.ID)
		}
	}
	return errors.Join(
		fixed("hardwareProfile.vmSize", strings.EqualFold(was.Hardware.Size, f.Hardware.Size)),
		fixed("hardwareProfile.processors", was.Hardware.Processors == f.Hardware.Processors),
		fixed("osProfile.computerName", f.OS.ComputerName == "" || strings.EqualFold(was.OS.ComputerName, f.OS.ComputerName)),
		fixed("osProfile.adminUsername", f.OS.AdminUser == "" || was.OS.AdminUser == f.OS.AdminUser),
		fixed("availabilitySet.id", sets[0] == sets[1]),
		fixed("securityProfile.securityType", strings.EqualFold(was.Security.Type, f.Security.Type)))
}

// admitNICs refuses interfaces that are another machine's.
func admitNICs(ctx context.Context, reader deskyard.Reader, id arm.ResourceID, f machineFacts) error {
	for i, n := range f.nics {
		row, err := reader.Resource(ctx, n.id)
		if err != nil {
			return err
		}
		var p struct {
			VM *reference `json:"virtualMachine"`
		}
		if err := readProperties(row, &p); err != nil {
			return err
		}
		if p.VM != nil && p.VM.ID != "" && parsed(p.VM.ID).Key() != id.Key() {
			return arm.Errorf(arm.Invalid, "NicInUse", "Network Interface %s is used by existing resource %s. In order to delete the network interface, it must be dissociated from the resource.",
				n.id, p.VM.ID).WithTarget(fmt.Sprintf("properties.networkProfile.networkInterfaces[%d]", i))
		}
	}
	if len(f.nics) == 0 {
		return arm.Errorf(arm.Invalid, "InvalidParameter", "Virtual machine '%s' must have at least one network interface.", id.Name()).WithTarget("properties.networkProfile.networkInterfaces")
	}
	return nil
}

// checkImage holds a machine to what its image can.
func checkImage(f machineFacts, image compute.Image) error {
	if err := checkGuestName(f.name, image.OS); err != nil {
		return err
	}
	if f.launchesTrusted() && !strings.EqualFold(image.Firmware, "uefi") {
		return arm.Errorf(arm.Invalid, "BadRequest", "The image '%s' is of generation 1 (BIOS); the security type %s needs generation 2 (UEFI). Choose another image.",
			image.ID, f.Security.Type).WithTarget("properties.securityProfile.securityType")
	}
	if size := f.Storage.OSDisk.SizeGB; size > 0 && int64(size)<<30 < image.VirtualBytes {
		return arm.Errorf(arm.Invalid, "InvalidParameter", "The specified disk size %d GB is smaller than the size of the corresponding disk in the VM image: %d GB. Choose a larger one.",
			size, f.diskGB(image)).WithTarget("properties.storageProfile.osDisk.diskSizeGB")
	}
	return nil
}

// liveTogether bounds the questions that one list asks hypervisors at a time.
const liveTogether = 16

// Live looks at machines now.
func (s *Service) Live(ctx context.Context, ids ...arm.ResourceID) map[string]deskyard.MachineLive {
	answers := make([]deskyard.MachineLive, len(ids))
	slots := make(chan struct{}, liveTogether)
	var wg sync.WaitGroup
	for i, id := range ids {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			answers[i] = s.liveOne(ctx, id)
		})
	}
	wg.Wait()
	live := make(map[string]deskyard.MachineLive, len(ids))
	for i, id := range ids {
		live[id.Key()] = answers[i]
	}
	return live
}

// liveTime is how long a request waits for a hypervisor's word on one machine.
const liveTime = 5 * time.Second

func (s *Service) liveOne(ctx context.Context, id arm.ResourceID) deskyard.MachineLive {
	l := deskyard.MachineLive{Power: powerUnknown, At: s.now()}
	w, err := s.o.Store.Work(ctx, deskyard.WorkMachine, id)
	var st machineState
	if err == nil {
		err = json.Unmarshal(w.State, &st)
	}
	if err != nil {
		l.Problem = fmt.Sprintf("What the service knows of the machine could not be read: %v.", err)
		if arm.IsMissing(err) {
			l.Problem = "The service makes no such machine."
		}
		return l
	}
	l.Host = st.Place.Host
	s.liveGuest(ctx, &l, st)
	h, ok := s.hypervisor(st.Place.Host)
	switch {
	case st.Place.Host == "":
		l.Power, l.Problem = powerStarting, st.Reason
		if st.Step == stepFailed {
			l.Power = powerStopped
		}
		return l
	case !ok:
		l.Problem = fmt.Sprintf("The hypervisor '%s' is no longer configured.", st.Place.Host)
		return l
	}
	ctx, cancel := context.WithTimeout(ctx, liveTime)
	defer cancel()
	o, err := h.Driver.Observe(ctx, st.MachineID)
	seen := st.sees(o, err, h.Name)
	l.Power, l.Problem = underWay(st, seen.Power), seen.Problem
	if l.Problem == "" {
		l.Problem = st.Reason
	}
	for _, n := range o.NICs {
		if n.Address.IsValid() {
			l.Addresses = append(l.Addresses, n.Address.String())
		}
	}
	return l
}

func (s *Service) liveGuest(ctx context.Context, l *deskyard.MachineLive, st machineState) {
	if s.o.Guests == nil || st.MachineID == "" {
		return
	}
	l.Connected = s.o.Guests.Connected(st.MachineID)
	if g, err := s.o.Store.Guest(ctx, st.MachineID); err == nil {
		l.Agent = g.BootLoader
	}
}

// underWay is the power state of a machine that is on its way to another.
func underWay(st machineState, power string) string {
	if power == powerUnknown {
		return power
	}
	if st.Step == stepPlaced || st.Step == stepMade {
		return powerStarting
	}
	if len(st.Orders) == 0 {
		return power
	}
	switch st.Orders[0].Verb {
	case deskyard.JobStart, deskyard.JobRestart:
		return powerStarting
	case deskyard.JobPowerOff:
		return powerStopping
	case deskyard.JobDeallocate, deskyard.JobHibernate:
		return "deallocating"
	}
	return power
}

// Console is what the machine wrote to its serial port.
func (s *Service) Console(ctx context.Context, id arm.ResourceID) ([]byte, error) {
	h, st, err := s.placed(ctx, id)
	if err != nil {
		return nil, err
	}
	text, err := h.Driver.Console(ctx, st.MachineID)
	return text, diagnosis(err, id, h.Name)
}

// Screenshot is the machine's screen as a PNG.
func (s *Service) Screenshot(ctx context.Context, id arm.ResourceID) ([]byte, error) {
	h, st, err := s.placed(ctx, id)
	if err != nil {
		return nil, err
	}
	picture, err := h.Driver.Screenshot(ctx, st.MachineID)
	return picture, diagnosis(err, id, h.Name)
}

// placed is a machine's state and the hypervisor that has it.
func (s *Service) placed(ctx context.Context, id arm.ResourceID) (Hypervisor, machineState, error) {
	w, err := s.o.Store.Work(ctx, deskyard.WorkMachine, id)
	if err != nil {
		return Hypervisor{}, machineState{}, err
	}
	st, _, err := s.openMachine(deskyard.Work{ID: w.ID, State: w.State})
	if err != nil {
		return Hypervisor{}, st, err
	}
	h, ok := s.hypervisor(st.Place.Host)
	if !ok {
		return h, st, arm.Errorf(arm.Conflicting, "OperationNotAllowed", "The machine '%s' is on no hypervisor yet. %s", id.Name(), st.Reason)
	}
	return h, st, nil
}

func diagnosis(err error, id arm.ResourceID, host string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, compute.ErrNotRunning):
		return arm.Errorf(arm.Conflicting, "OperationNotAllowed", "The machine '%s' does not run, so that it has no screen. Start it first.", id.Name())
	case errors.Is(err, compute.ErrUnreachable):
		return arm.Errorf(arm.Unavailable, "HypervisorUnreachable", "The hypervisor '%s' of the machine '%s' does not answer. Try again when it does.", host, id.Name())
	case errors.Is(err, compute.ErrNotFound):
		return arm.Errorf(arm.Conflicting, "OperationNotAllowed", "The machine '%s' is not made yet, or is gone from the hypervisor '%s'.", id.Name(), host)
	}
	return err
}
