package deskyard_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/deskyard/deskyard"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func alive() deskyard.Lease { return deskyard.Lease{Connected: true, Heartbeat: now} }

func healthy(mods ...func(*deskyard.SessionHost)) deskyard.SessionHost {
	h := deskyard.SessionHost{Report: deskyard.HostReport{Checks: []deskyard.HealthCheck{
		{Name: deskyard.CheckSxSListener, Result: deskyard.CheckSucceeded},
		{Name: deskyard.CheckURLs, Result: deskyard.CheckSucceeded},
	}}}
	for _, m := range mods {
		m(&h)
	}
	return h
}

func failing(check string) func(*deskyard.SessionHost) {
	return func(h *deskyard.SessionHost) {
		h.Report.Checks = append(h.Report.Checks, deskyard.HealthCheck{Name: check, Result: deskyard.CheckFailed, Message: "broken"})
	}
}

func update(state string) func(*deskyard.SessionHost) {
	return func(h *deskyard.SessionHost) {
		h.Update = deskyard.UpdateRecord{State: state, Target: "2.0", Error: "rolled back"}
	}
}

func TestStatusFollowsFromLeaseReportAndUpdate(t *testing.T) {
	for name, c := range map[string]struct {
		host  deskyard.SessionHost
		lease deskyard.Lease
		want  string
	}{
		"healthy and linked":                   {healthy(), alive(), deskyard.StatusAvailable},
		"no link":                              {healthy(), deskyard.Lease{}, deskyard.StatusUnavailable},
		"silent for the lease":                 {healthy(), deskyard.Lease{Connected: true, Heartbeat: now.Add(-deskyard.LeaseFor)}, deskyard.StatusUnavailable},
		"one heartbeat late":                   {healthy(), deskyard.Lease{Connected: true, Heartbeat: now.Add(-6 * time.Second)}, deskyard.StatusAvailable},
		"said goodbye":                         {healthy(func(h *deskyard.SessionHost) { h.Report.Stopping = true }), deskyard.Lease{}, deskyard.StatusShutdown},
		"said goodbye and came back":           {healthy(func(h *deskyard.SessionHost) { h.Report.Stopping = true }), alive(), deskyard.StatusAvailable},
		"linked, checks not reported yet":      {deskyard.SessionHost{}, alive(), deskyard.StatusUnavailable},
		"updating":                             {healthy(update("Started")), alive(), deskyard.StatusUpgrading},
		"updating without a link":              {healthy(update("Started")), deskyard.Lease{}, deskyard.StatusUnavailable},
		"update failed":                        {healthy(update("Failed")), alive(), deskyard.StatusUpgradeFailed},
		"fatal check":                          {healthy(failing(deskyard.CheckSxSListener)), alive(), deskyard.StatusUnavailable},
		"fatal check wins over failed update":  {healthy(update("Failed"), failing(deskyard.CheckDomainTrust)), alive(), deskyard.StatusUnavailable},
		"fatal check wins over non-fatal":      {healthy(failing(deskyard.CheckURLs), failing(deskyard.CheckDomainJoined)), alive(), deskyard.StatusUnavailable},
		"non-fatal check":                      {healthy(failing(deskyard.CheckMonitoring)), alive(), deskyard.StatusNeedsAssistance},
		"failed update wins over non-fatal":    {healthy(update("Failed"), failing(deskyard.CheckURLs)), alive(), deskyard.StatusUpgradeFailed},
		"revoked, even when linked":            {healthy(func(h *deskyard.SessionHost) { h.RevokedAt = now }), alive(), deskyard.StatusUnavailable},
		"refused as a clone while not linked":  {healthy(func(h *deskyard.SessionHost) { h.Refused = "clone" }), deskyard.Lease{}, deskyard.StatusUnavailable},
		"a check that does not exist is known": {healthy(failing("NewCheck")), alive(), deskyard.StatusNeedsAssistance},
	} {
		t.Run(name, func(t *testing.T) {
			got, reason := c.host.Status(c.lease, now)
			if got != c.want {
				t.Fatalf("status %s (%s), want %s", got, reason, c.want)
			}
			if (reason == "") != (got == deskyard.StatusAvailable) {
				t.Fatalf("status %s has reason %q", got, reason)
			}
		})
	}
}

func TestAHostWithoutALinkIsNeverUsable(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := healthy()
		for _, check := range rapid.SliceOf(rapid.SampledFrom([]string{deskyard.CheckURLs, deskyard.CheckSxSListener, "Other"})).Draw(rt, "failed") {
			failing(check)(&h)
		}
		h.Update.State = rapid.SampledFrom([]string{"", "Initial", "Pending", "Started", "Succeeded", "Failed"}).Draw(rt, "update")
		h.Report.Stopping = rapid.Bool().Draw(rt, "stopping")
		silent := rapid.Int64Range(int64(deskyard.LeaseFor), int64(time.Hour)).Draw(rt, "silent")
		lease := deskyard.Lease{Connected: rapid.Bool().Draw(rt, "connected"), Heartbeat: now.Add(-time.Duration(silent))}
		if got, _ := h.Status(lease, now); deskyard.Usable(got) {
			rt.Fatalf("usable with status %s", got)
		}
	})
}

func TestAKilledHostIsUnavailableWithinFifteenSeconds(t *testing.T) {
	if worst := deskyard.LeaseFor + time.Second; worst > 15*time.Second {
		t.Fatalf("a silent host is noticed after up to %s", worst)
	}
	if deskyard.LeaseFor < 2*deskyard.HeartbeatEvery {
		t.Fatal("one lost heartbeat would take a host out of service")
	}
	if got, reason := healthy().Status(deskyard.Lease{}, now); got != deskyard.StatusUnavailable || !strings.Contains(reason, "boot loader") {
		t.Fatalf("%s: the reason %q names no next step", got, reason)
	}
}
