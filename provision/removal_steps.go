package provision

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/directory"
)

// Times of a removal.
const (
	signOutTime  = 30 * time.Second // for a host to carry out a command
	signOutLook  = 5 * time.Second  // how often users who sign out are counted
	silentLook   = 5 * time.Second  // how often a host without a link is looked for
	signOutGiven = 2 * time.Minute  // for the sessions to end once they were told to
	releaseTime  = 2 * time.Minute  // for the guest to leave its directory
	removalLook  = 15 * time.Second // how often a machine that goes is looked for; its end wakes the removal
)

// Devices is the directory as far as the objects of machines in it go.
type Devices interface {
	// AddDevice makes sure that there is the object of a machine that joined.
	AddDevice(ctx context.Context, d directory.Device) error
	// RemoveDevice removes the object of a machine by its SMBIOS UUID; removed is
	// false when there was none.
	RemoveDevice(ctx context.Context, machineID string) (removed bool, err error)
}

// do takes one look at a step.
func (r *removalRun) do(ctx context.Context, name string) (did, error) {
	switch name {
	case removeDrain:
		return r.drain(ctx)
	case removeSignOut:
		return r.signOut(ctx)
	case removeLeave:
		return r.leave(ctx)
	case removeMachine:
		return r.deleteMachine(ctx)
	case removeRest:
		return r.deleteRest(ctx)
	case removeDevice:
		return r.deleteDevice(ctx)
	case removeRecord:
		return r.deleteRecord(ctx)
	case replaceRemake:
		return r.remake(ctx)
	case replaceSteps:
		return r.repeatExtensions(ctx)
	case replaceHost:
		return r.restore(ctx)
	}
	return did{}, fmt.Errorf("the step is not known")
}

// drain lets no new session begin.
func (r *removalRun) drain(ctx context.Context) (d did, err error) {
	err = r.s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		h, err := tx.SessionHost(ctx, r.id)
		if arm.IsMissing(err) {
			d.skipped = "The session host has no record any more."
			return nil
		}
		if err != nil || !h.AllowNewSession {
			return err
		}
		h.AllowNewSession = false
		_, err = tx.PutSessionHost(ctx, h)
		return err
	})
	return d, err
}

// signOut tells users, gives them time, and signs out who is left.
func (r *removalRun) signOut(ctx context.Context) (did, error) {
	host, err := r.s.o.Store.SessionHost(ctx, r.id)
	if arm.IsMissing(err) {
		return did{skipped: "The session host has no record any more."}, nil
	}
	if err != nil {
		return did{}, err
	}
	sessions, lease := r.sessions(host)
	alive := lease.Alive(r.s.now())
	switch {
	case len(sessions) == 0:
		return did{}, nil
	case !alive && r.st.Force:
		return did{skipped: fmt.Sprintf("The host has no link; the records of its %d sessions go with it.", len(sessions))}, nil
	case !alive:
		last := host.LastSeen
		if lease.Heartbeat.After(last) {
			last = lease.Heartbeat
		}
		return did{last: last, silent: arm.Errorf(arm.Conflicting, "SessionHostUserSessionsExist",
			"The session host '%s' has %d user sessions (5008) and no link to sign them out by. Start its machine, or repeat with force.", r.id.Name(), len(sessions))}, nil
	}
	now := r.s.now()
	if !r.st.Told {
		if !r.st.Force && r.st.Grace > 0 {
			r.tell(ctx, host, sessions)
		}
		return did{wait: signOutLook}, r.alter(ctx, func(context.Context, deskyard.Tx) error {
			r.st.Told, r.st.SignOutBy = true, now
			if !r.st.Force {
				r.st.SignOutBy = now.Add(r.st.Grace)
			}
			return nil
		})
	}
	if now.Before(r.st.SignOutBy) && !r.st.Force {
		return did{wait: min(signOutLook, r.st.SignOutBy.Sub(now))}, nil
	}
	if now.After(r.st.SignOutBy.Add(signOutGiven)) {
		if r.st.Force {
			return did{skipped: fmt.Sprintf("%d sessions did not end within %s; they end with the machine.", len(sessions), signOutGiven)}, nil
		}
		return did{failed: arm.Errorf(arm.Conflicting, "SessionHostUserSessionsExist",
			"%d sessions on '%s' did not end within %s of being signed out (5008). Look at the host, or repeat with force.", len(sessions), r.id.Name(), signOutGiven)}, nil
	}
	for _, u := range sessions {
		if err := r.command(ctx, host, deskyard.Command{Verb: "logoff", Session: u.Native, Force: true}); err != nil {
			r.s.log.Warn("user not signed out; trying again", "host", r.id, "session", u.ID, "err", err)
		}
	}
	return did{wait: signOutLook}, nil
}

// sessions are those that the host has now, as far as is known, and its link.
func (r *removalRun) sessions(host deskyard.SessionHost) (sessions []deskyard.UserSession, lease deskyard.Lease) {
	if r.s.o.Fleet == nil {
		return host.Report.Sessions, lease
	}
	if report, ok := r.s.o.Fleet.Report(host.ObjectID); ok {
		host.Report = report
	}
	if host.Report.Stopping {
		return nil, lease
	}
	return host.Report.Sessions, r.s.o.Fleet.Lease(host.ObjectID)
}

// tell warns the users; one who cannot be told is signed out all the same.
func (r *removalRun) tell(ctx context.Context, host deskyard.SessionHost, sessions []deskyard.UserSession) {
	body := fmt.Sprintf("This desktop will be taken out of service in %s. Save your work and sign out; you can sign in again at once.", spoken(r.st.Grace))
	for _, u := range sessions {
		if err := r.command(ctx, host, deskyard.Command{Verb: "message", Session: u.Native, Title: "Maintenance", Body: body}); err != nil {
			r.s.log.Warn("user not told of the removal", "host", r.id, "session", u.ID, "err", err)
		}
	}
}

// spoken is a time in the words of a message to users.
func spoken(d time.Duration) string {
	n, unit := int(d.Round(time.Second)/time.Second), "second"
	if n%60 == 0 {
		n, unit = n/60, "minute"
	}
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

func (r *removalRun) command(ctx context.Context, host deskyard.SessionHost, c deskyard.Command) error {
	ctx, cancel := context.WithTimeout(ctx, signOutTime)
	defer cancel()
	return r.s.o.Fleet.Do(ctx, host.ObjectID, c)
}

// leave has the guest leave its directory and forget its keys.
func (r *removalRun) leave(ctx context.Context) (did, error) {
	if r.s.o.Guests == nil || r.st.MachineID == "" {
		return did{skipped: "The machine is not one of this service's."}, nil
	}
	guest, err := r.s.o.Store.Guest(ctx, r.st.MachineID)
	if arm.IsMissing(err) {
		return did{skipped: "The machine has no boot loader of this service's."}, nil
	}
	if err != nil {
		return did{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	account, err := r.s.joinAccount(ctx, guestOwner(parsed(r.st.VM)))
	if err != nil {
		return did{}, err
	}
	result, err := r.s.o.Guests.Do(ctx, r.st.MachineID, deskyard.Step{
		ID: "release-" + r.st.MachineID + "-" + r.st.Operation, Kind: deskyard.StepRelease, Secrets: account, Timeout: releaseTime,
	})
	switch {
	case err == nil && result.State != deskyard.StepFailed:
		return did{}, nil
	case r.st.Force && err != nil:
		return did{skipped: fmt.Sprintf("The guest could not be asked (%v); its computer object in an outside directory is for its administrator to delete.", err)}, nil
	case r.st.Force:
		return did{skipped: "The guest could not leave: " + result.Message}, nil
	case errors.Is(err, deskyard.ErrGuestUnreachable):
		return did{silent: r.noAnswer(), last: guest.LastSeen}, nil
	case errors.Is(err, context.DeadlineExceeded):
		return did{failed: r.noAnswer()}, nil
	case err != nil:
		return did{}, err
	}
	return did{failed: arm.Errorf(arm.Conflicting, "DirectoryLeaveFailed", "The machine of '%s' could not leave its directory: %s (%s). Repeat with force to go on without.", r.id.Name(), result.Message, result.Code)}, nil
}

func (r *removalRun) noAnswer() *arm.Error {
	return arm.Errorf(arm.Conflicting, "SessionHostUnreachable", "The machine of '%s' does not answer, so that it cannot leave its directory. Start it, or repeat with force.", r.id.Name())
}

// deleteMachine has the API delete the machine, in the caller's name, and waits until
// nothing of it is left on its hypervisor.
func (r *removalRun) deleteMachine(ctx context.Context) (did, error) {
	vm := parsed(r.st.VM)
	if vm.IsZero() {
		return did{skipped: "The machine is not one of this service's: delete it by your own means."}, nil
	}
	work := parsed(r.st.Work)
	row, err := exists(ctx, r.s.o.Store, work)
	if err != nil {
		return did{}, err
	}
	_, err = r.s.o.Store.Work(ctx, deskyard.WorkMachine, work)
	if err != nil && !arm.IsMissing(err) {
		return did{}, err
	}
	if !row && arm.IsMissing(err) {
		return did{}, nil
	}
	if row && !r.st.Asked {
		if refused, err := r.deleteByAPI(ctx, work); refused != nil || err != nil {
			return did{failed: refused}, err
		}
		if err := r.alter(ctx, func(context.Context, deskyard.Tx) error { r.st.Asked = true; return nil }); err != nil {
			return did{}, err
		}
	}
	return did{wait: removalLook}, nil
}

// deleteByAPI deletes a resource in the caller's name; what is gone is no fault.
func (r *removalRun) deleteByAPI(ctx context.Context, id arm.ResourceID) (refused *arm.Error, err error) {
	if r.s.o.Resources == nil {
		return nil, errors.New("the service has no API to act through")
	}
	version, err := r.s.newestVersion(id.Type())
	if err != nil {
		return nil, err
	}
	_, err = r.s.o.Resources.Do(ctx, Call{Principal: r.st.Caller, Method: http.MethodDelete, ID: id, Version: version})
	if err == nil || arm.IsMissing(err) {
		return nil, nil
	}
	if errors.As(err, &refused) {
		return refused, nil
	}
	return nil, err
}

// deleteRest deletes what was the machine's alone.
func (r *removalRun) deleteRest(ctx context.Context) (did, error) {
	for _, text := range r.st.Also {
		id := parsed(text)
		there, err := exists(ctx, r.s.o.Store, id)
		if err != nil {
			return did{}, err
		}
		if !there {
			continue
		}
		refused, err := r.deleteByAPI(ctx, id)
		if err != nil {
			return did{}, err
		}
		if refused != nil && refused.Kind == arm.Conflicting && strings.EqualFold(id.Type(), "Microsoft.Network/networkSecurityGroups") {
			continue // somebody else uses it by now
		}
		if refused != nil {
			return did{failed: refused}, nil
		}
	}
	return did{}, nil
}

// deleteDevice removes the machine's object from the service's own directory.
func (r *removalRun) deleteDevice(ctx context.Context) (did, error) {
	if r.s.o.Devices == nil || r.st.MachineID == "" {
		return did{skipped: "The service's directory holds no object of the machine."}, nil
	}
	removed, err := r.s.o.Devices.RemoveDevice(ctx, r.st.MachineID)
	if err == nil && !removed {
		return did{skipped: "The service's directory holds no object of the machine."}, nil
	}
	return did{}, err
}

// deleteRecord deletes the session host and all below it, and closes its link.
func (r *removalRun) deleteRecord(ctx context.Context) (did, error) {
	err := r.s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		if err := tx.DeleteSessionHost(ctx, r.id); err != nil && !arm.IsMissing(err) {
			return err
		}
		if err := tx.DeleteResource(ctx, r.id); err != nil && !arm.IsMissing(err) { // role assignments on it
			return err
		}
		return nil
	})
	if err == nil {
		r.s.drop(r.st.Memory.ObjectID, "The session host was removed from its host pool.")
	}
	return did{}, err
}

// drop closes the link of a session host whose record is gone.
func (s *Service) drop(objectID, reason string) {
	if s.o.Fleet != nil && objectID != "" {
		s.o.Fleet.Drop(objectID, reason)
	}
}
