package armapi

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/deskyard/deskyard"
)

// enrolledBy notes which key enrolled a host.
func (d *desk) enrolledBy(h deskyard.SessionHost, key string) {
	d.t.Helper()
	d.tx(func(ctx context.Context, tx deskyard.Tx) error {
		h.EnrolledBy = key
		_, err := tx.PutSessionHost(ctx, h)
		return err
	})
}

func TestASessionHostSaysWhyItIsNotAvailable(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	live := d.host("hp1", "sh-0", true)
	d.host("hp1", "sh-1", false)
	r := d.send("owner", "GET", dv("hostPools/hp1/sessionHosts/sh-0"), "")
	p := r.doc["properties"].(map[string]any)
	if r.doc["name"] != "hp1/sh-0" || p["status"] != "Available" || p["statusReason"] != nil || p["virtualMachineId"] != live.Machine.SMBIOSID {
		t.Errorf("the live host: %s", r.raw)
	}
	if m, ok := p["metrics"].(map[string]any); !ok || m["cpuPercent"] != 12.5 {
		t.Errorf("metrics of the live host: %v", p["metrics"])
	}
	if sd := r.doc["systemData"].(map[string]any); sd["createdBy"] != nil {
		t.Errorf("systemData.createdBy is %v: nobody created a host that registered", sd["createdBy"])
	}
	p = d.must(200, "GET", dv("hostPools/hp1/sessionHosts/SH-1"), "")
	if p["metrics"] != nil {
		t.Errorf("a host without a link has metrics: %v", p["metrics"])
	}
	if p["status"] != "Unavailable" || !strings.Contains(p["statusReason"].(string), "control link") {
		t.Errorf("the other host: %v %v", p["status"], p["statusReason"])
	}
	if p := d.must(200, "GET", dv("hostPools/hp1/sessionHosts/sh-0.corp.example"), ""); p["objectId"] != live.ObjectID {
		t.Error("the host is not found by its FQDN")
	}
	d.refused(404, "ResourceNotFound", "sh-0.elsewhere", "GET", dv("hostPools/hp1/sessionHosts/sh-0.elsewhere"), "")
	d.refused(404, "ResourceNotFound", "hp9", "GET", dv("hostPools/hp9/sessionHosts"), "")
	d.refused(405, "MethodNotAllowed", "", "PUT", dv("hostPools/hp1/sessionHosts/sh-9"), `{}`)
}

func TestHostsAreListedInPagesThatMissNothing(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("sh-%d", i)
		d.host("hp1", name, false, session(1, "ann@corp.example"), session(2, "ben@corp.example"))
		want = append(want, "hp1/"+name)
	}
	if got := d.pages(dv("hostPools/hp1/sessionHosts?pageSize=3")); !slices.Equal(got, want) {
		t.Errorf("hosts %v", got)
	}
	got := d.pages(dv("hostPools/hp1/sessionHosts?pageSize=2&isDescending=true&initialSkip=1"))
	slices.Reverse(want)
	if !slices.Equal(got, want[1:]) {
		t.Errorf("hosts backwards, first skipped: %v", got)
	}
	if got := d.pages(dv("hostPools/hp1/userSessions?pageSize=4")); len(got) != 14 || got[0] != "hp1/sh-0/1" || got[13] != "hp1/sh-6/2" || !slices.IsSorted(got) {
		t.Errorf("sessions %v", got)
	}
	if got := d.pages(dv("hostPools/hp1/userSessions?pageSize=5&isDescending=true")); len(got) != 14 || got[0] != "hp1/sh-6/2" || got[13] != "hp1/sh-0/1" {
		t.Errorf("sessions backwards %v", got)
	}
	filter := "&$filter=userprincipalname%20eq%20%27BEN@corp.example%27%20and%20sessionstate%20eq%20%27active%27"
	if got := d.pages(dv("hostPools/hp1/userSessions?pageSize=5" + filter)); len(got) != 7 {
		t.Errorf("ben's sessions %v", got)
	}
	d.refused(400, "InvalidFilterInQueryString", "", "GET", dv("hostPools/hp1/userSessions?$filter=colour%20eq%20%27red%27"), "")
}

// pages follows nextLink to the end and returns every name.
func (d *desk) pages(path string) []string {
	d.t.Helper()
	var all []string
	for path != "" {
		r := d.send("owner", "GET", path, "")
		if r.status != 200 {
			d.t.Fatalf("GET %s: %d %s", path, r.status, r.raw)
		}
		all = append(all, names(r.doc)...)
		next, _ := r.doc["nextLink"].(string)
		path = strings.TrimPrefix(next, d.url)
	}
	return all
}

func TestPersonalDesktopsChangeHandsByForceOnly(t *testing.T) {
	d := newDesk(t)
	d.pool("mine", personalPool)
	d.pool("ours", "")
	d.host("mine", "sh-0", true)
	d.host("mine", "sh-1", true)
	d.host("ours", "sh-2", true)
	host := "hostPools/mine/sessionHosts/sh-0"
	to := func(user string) string { return fmt.Sprintf(`{"properties":{"assignedUser":%q}}`, user) }
	d.refused(400, "AssignmentNotSupported", "personal", "PATCH", dv("hostPools/ours/sessionHosts/sh-2"), to("ann@corp.example"))
	if p := d.must(200, "PATCH", dv(host), to("ann@corp.example")); p["assignedUser"] != "ann@corp.example" {
		t.Errorf("assigned to %v", p["assignedUser"])
	}
	d.must(200, "PATCH", dv(host), to("ANN@corp.example")) // no change
	d.refused(409, "SessionHostAssignmentExists", "force=true", "PATCH", dv(host), to("ben@corp.example"))
	d.refused(409, "SessionHostAssignmentExists", "force=true", "PATCH", dv(host), to(""))
	d.refused(409, "UserAlreadyAssigned", "sh-0", "PATCH", dv("hostPools/mine/sessionHosts/sh-1"), to("ann@corp.example"))
	d.must(200, "PATCH", dv(host+"?force=true"), to("ben@corp.example"))
	if p := d.must(200, "PATCH", dv(host+"?force=true"), to("")); p["assignedUser"] != nil {
		t.Errorf("after unassigning: %v", p["assignedUser"])
	}
	p := d.must(200, "PATCH", dv(host), `{"properties":{"allowNewSession":false,"friendlyName":"Desk 1"}}`)
	if p["allowNewSession"] != false || p["friendlyName"] != "Desk 1" {
		t.Errorf("drained: %v", p)
	}
	if p := d.must(200, "PATCH", dv(host), ""); p["allowNewSession"] != false {
		t.Error("an empty PATCH undid the drain mode")
	}
	d.refused(400, "InvalidRequestContent", "", "PATCH", dv(host), `{"properties":{"allowNewSession":"yes"}}`)
}

func TestAHostWithSessionsGoesByForceOnly(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	h := d.host("hp1", "sh-0", true, session(1, "ann@corp.example"))
	d.refused(409, "SessionHostUserSessionsExist", "5008", "DELETE", dv("hostPools/hp1/sessionHosts/sh-0"), "")
	d.must(200, "DELETE", dv("hostPools/hp1/sessionHosts/sh-0?force=true"), "")
	if !slices.Equal(d.fleet.dropped, []string{h.ObjectID}) {
		t.Errorf("links closed: %v", d.fleet.dropped)
	}
	if r := d.send("owner", "DELETE", dv("hostPools/hp1/sessionHosts/sh-0"), ""); r.status != 204 {
		t.Errorf("a second DELETE answers %d", r.status)
	}
	if r := d.send("reader", "DELETE", dv("hostPools/hp1/sessionHosts/sh-0"), ""); r.status != 403 {
		t.Errorf("a Reader's DELETE answers %d", r.status)
	}
}

func TestSessionCommandsReachTheirHost(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	d.host("hp1", "sh-0", true, session(3, "ann@corp.example"))
	at := "hostPools/hp1/sessionHosts/sh-0/userSessions/3"
	d.must(200, "POST", dv(at+"/sendMessage"), `{"messageTitle":"Hello","messageBody":"Please save."}`)
	d.must(200, "POST", dv(at+"/disconnect"), "")
	d.refused(400, "InvalidParameter", "messageBody", "POST", dv(at+"/sendMessage"), `{"messageTitle":"Hello"}`)
	d.refused(400, "InvalidParameter", "4096", "POST", dv(at+"/sendMessage"), `{"messageBody":"`+strings.Repeat("x", 4097)+`"}`)
	d.must(200, "DELETE", dv(at+"?force=true"), "")
	var verbs []string
	for _, c := range d.fleet.commands {
		verbs = append(verbs, fmt.Sprint(c.Verb, c.Session, c.Force, c.Body))
	}
	if want := []string{"messagec3falsePlease save.", "disconnectc3false", "logoffc3true"}; !slices.Equal(verbs, want) {
		t.Errorf("commands %v, want %v", verbs, want)
	}
	d.refused(404, "ResourceNotFound", "", "POST", dv(at+"/disconnect"), "")
}

func TestForceDropsASessionOfAHostThatCannotBeReached(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	d.host("hp1", "sh-0", false, session(3, "ann@corp.example"), session(4, "ben@corp.example"))
	at := "hostPools/hp1/sessionHosts/sh-0/userSessions"
	d.refused(409, "SessionHostUnreachable", "force", "DELETE", dv(at+"/3"), "")
	d.refused(409, "SessionHostUnreachable", "", "POST", dv(at+"/3/disconnect"), "")
	d.must(200, "DELETE", dv(at+"/3?force=true"), "")
	if got := d.pages(dv(at)); !slices.Equal(got, []string{"hp1/sh-0/4"}) {
		t.Errorf("sessions left: %v", got)
	}
}

func TestTenThousandHostsAreListedInPages(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	const many = 10000
	d.tx(func(ctx context.Context, tx deskyard.Tx) error {
		for i := range many {
			name := fmt.Sprintf("sh-%05d", i)
			h := deskyard.SessionHost{ID: poolID("hp1").Child("sessionHosts", name), ObjectID: newID(), Pool: "pool", RegisteredAt: d.now()}
			if _, err := tx.PutSessionHost(ctx, h); err != nil {
				return err
			}
		}
		return nil
	})
	got := d.pages(dv("hostPools/hp1/sessionHosts?pageSize=1000"))
	if len(got) != many || !slices.IsSorted(got) || got[many-1] != "hp1/sh-09999" {
		t.Errorf("%d hosts listed, the last %s", len(got), got[len(got)-1])
	}
}
