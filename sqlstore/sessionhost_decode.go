package sqlstore

import (
	"encoding/json"

	"github.com/deskyard/deskyard"
)

// decodeHost reads what json.Marshal wrote of a session host. A test fails when
// the host gets a member that is not listed here; until then such hosts are read
// by encoding/json, in five times the time.
func decodeHost(text string) (deskyard.SessionHost, error) {
	c := plainJSON{all: text}
	var h deskyard.SessionHost
	if c.host(&h) && c.finished() {
		return h, nil
	}
	h = deskyard.SessionHost{}
	err := json.Unmarshal([]byte(text), &h)
	return h, err
}

func (c *plainJSON) host(h *deskyard.SessionHost) bool {
	return c.object(func(name string) bool {
		switch name {
		case "ID":
			return c.resourceID(&h.ID)
		case "ObjectID":
			return c.text(&h.ObjectID)
		case "Pool":
			return c.text(&h.Pool)
		case "AllowNewSession":
			return c.boolean(&h.AllowNewSession)
		case "AssignedUser":
			return c.text(&h.AssignedUser)
		case "FriendlyName":
			return c.text(&h.FriendlyName)
		case "Machine":
			return c.machine(&h.Machine)
		case "PublicKey":
			return c.bytes(&h.PublicKey)
		case "Epoch":
			return c.text(&h.Epoch)
		case "NextEpoch":
			return c.text(&h.NextEpoch)
		case "EnrolledBy":
			return c.text(&h.EnrolledBy)
		case "RegisteredAt":
			return c.time(&h.RegisteredAt)
		case "RevokedAt":
			return c.time(&h.RevokedAt)
		case "RevokedReason":
			return c.text(&h.RevokedReason)
		case "Refused":
			return c.text(&h.Refused)
		case "RefusedAt":
			return c.time(&h.RefusedAt)
		case "ResourceID":
			return c.text(&h.ResourceID)
		case "VirtualMachineID":
			return c.text(&h.VirtualMachineID)
		case "Report":
			return c.report(&h.Report)
		case "LastSeen":
			return c.time(&h.LastSeen)
		case "EverOnline":
			return c.boolean(&h.EverOnline)
		case "StatusAt":
			return c.time(&h.StatusAt)
		case "Update":
			return c.update(&h.Update)
		case "Version":
			var n int // the row has the version that counts
			return c.integer(&n)
		}
		return false
	})
}

func (c *plainJSON) machine(m *deskyard.Machine) bool {
	return c.object(func(name string) bool {
		switch name {
		case "hostname":
			return c.text(&m.Hostname)
		case "fqdn":
			return c.text(&m.FQDN)
		case "machineId":
			return c.text(&m.MachineID)
		case "smbiosId":
			return c.text(&m.SMBIOSID)
		case "bootId":
			return c.text(&m.BootID)
		case "os":
			return c.text(&m.OS)
		case "arch":
			return c.text(&m.Arch)
		case "osVersion":
			return c.text(&m.OSVersion)
		case "kind":
			return c.text(&m.Kind)
		case "identity":
			return c.text(&m.Identity)
		}
		return false
	})
}

func (c *plainJSON) report(r *deskyard.HostReport) bool {
	return c.object(func(name string) bool {
		switch name {
		case "at":
			return c.time(&r.At)
		case "agentVersion":
			return c.text(&r.AgentVersion)
		case "sxsVersion":
			return c.text(&r.SxSVersion)
		case "osVersion":
			return c.text(&r.OSVersion)
		case "stopping":
			return c.boolean(&r.Stopping)
		case "checks":
			return array(c, &r.Checks, c.check)
		case "sessions":
			return array(c, &r.Sessions, c.session)
		case "components":
			return array(c, &r.Components, c.component)
		case "sessionsKnown":
			return c.boolean(&r.SessionsKnown)
		case "listenerCertificate":
			return c.text(&r.ListenerCertificate)
		case "tzOffset":
			return c.integer(&r.TimeZoneOffset)
		}
		return false
	})
}

func (c *plainJSON) check(h *deskyard.HealthCheck) bool {
	return c.object(func(name string) bool {
		switch name {
		case "name":
			return c.text(&h.Name)
		case "result":
			return c.text(&h.Result)
		case "message":
			return c.text(&h.Message)
		case "code":
			return c.integer(&h.Code)
		case "at":
			return c.time(&h.At)
		}
		return false
	})
}

func (c *plainJSON) session(s *deskyard.UserSession) bool {
	return c.object(func(name string) bool {
		switch name {
		case "id":
			return c.integer(&s.ID)
		case "native":
			return c.text(&s.Native)
		case "objectId":
			return c.text(&s.ObjectID)
		case "user":
			return c.text(&s.User)
		case "account":
			return c.text(&s.Account)
		case "state":
			return c.text(&s.State)
		case "applicationType":
			return c.text(&s.ApplicationType)
		case "createTime":
			return c.time(&s.CreateTime)
		case "clientAddress":
			return c.text(&s.ClientAddress)
		}
		return false
	})
}

func (c *plainJSON) component(p *deskyard.Component) bool {
	return c.object(func(name string) bool {
		switch name {
		case "name":
			return c.text(&p.Name)
		case "version":
			return c.text(&p.Version)
		case "kept":
			return array(c, &p.Kept, c.text)
		case "state":
			return c.text(&p.State)
		case "detail":
			return c.text(&p.Detail)
		case "failed":
			return c.text(&p.Failed)
		case "attempts":
			return c.integer(&p.Attempts)
		}
		return false
	})
}

func (c *plainJSON) update(u *deskyard.UpdateRecord) bool {
	return c.object(func(name string) bool {
		switch name {
		case "state":
			return c.text(&u.State)
		case "error":
			return c.text(&u.Error)
		case "at":
			return c.time(&u.At)
		case "target":
			return c.text(&u.Target)
		case "attempts":
			return c.integer(&u.Attempts)
		}
		return false
	})
}
