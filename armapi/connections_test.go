package armapi

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/connect"
	"github.com/deskyard/deskyard/rbac"
	"github.com/deskyard/deskyard/reverse"
)

// Principal makes people what connections ask for users: by object id or name.
func (p people) Principal(_ context.Context, id string) (deskyard.Principal, error) {
	for _, who := range p {
		if strings.EqualFold(who.ObjectID, id) || strings.EqualFold(who.Name, id) {
			return who, nil
		}
	}
	return deskyard.Principal{}, arm.Errorf(arm.Missing, "UserNotFound", "There is no user '%s'.", id)
}

// mute is a fleet of which no host dials back.
type mute struct{}

func (mute) Dial(context.Context, string, reverse.DialBack) (reverse.Dialled, error) {
	return reverse.Dialled{}, deskyard.ErrHostUnreachable
}

// connections is the service behind the doors, on the desk's store.
func (d *desk) connections(staff people) *connect.Service {
	d.t.Helper()
	s, err := connect.New(connect.Options{Store: d.store, Fleet: d.fleet, Dialer: mute{}, Access: &rbac.Authorizer{Store: d.store}, People: staff,
		Key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize)), Now: d.now})
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

// office is a desk with a pool of one live host, and the desktop that everybody may open.
func office(t *testing.T) (d *desk, desktop arm.ResourceID, host deskyard.SessionHost) {
	d = newDesk(t)
	d.pool("hp1", "")
	d.must(201, "PUT", dv("applicationGroups/dag"), appGroupBody("hp1", "Desktop"))
	group := rgScope + "/providers/" + desktopNamespace + "/applicationGroups/dag"
	d.must(201, "PUT", dv("workspaces/ws1"), fmt.Sprintf(`{"location":"centralus","properties":{"applicationGroupReferences":[%q]}}`, group))
	for person := range 3 {
		d.grantAs(person+1, rbac.DesktopUser)
	}
	return d, arm.MustParseID(group).Child("desktops", deskyard.SessionDesktop), d.host("hp1", "sh-0", true, session(1, "ben@corp.example"))
}

// grantAs gives a person one role more on the subscription.
func (d *desk) grantAs(person int, role string) {
	d.t.Helper()
	d.tx(func(ctx context.Context, tx deskyard.Tx) error {
		row, err := rbac.Assignment{Name: guid(100 + person), Scope: arm.ResourceID{Subscription: testSub}, RoleGUID: role, PrincipalID: personID(person), PrincipalType: "User"}.Row()
		if err == nil {
			_, err = tx.PutResource(ctx, row)
		}
		return err
	})
}

func TestAConnectionIsExplainedToThoseWhoMaySeeIt(t *testing.T) {
	d, desktop, _ := office(t)
	operator := deskyard.Principal{ObjectID: personID(3), Name: "operator@example.com", Kind: "User"}
	started, err := d.connect.Connect(t.Context(), operator, desktop, connect.Ask{Door: deskyard.DoorWeb, Client: deskyard.ClientInfo{OS: "linux"}})
	if err != nil {
		t.Fatal(err)
	}
	at := "/subscriptions/" + testSub + "/providers/" + desktopNamespace + "/connections"
	version := "?api-version=" + stableVersion
	p := d.must(200, "GET", at+"/"+started.Connection+version, "")
	decision := p["decision"].(map[string]any)
	if p["sessionHostName"] != "sh-0" || p["state"] != "Started" || p["userPrincipalName"] != operator.Name || decision["considered"] != 1.0 || len(p["stages"].([]any)) != 1 {
		t.Errorf("the record is %v", p)
	}
	if strings.Contains(fmt.Sprint(p), started.Ticket) {
		t.Error("the record holds the ticket")
	}
	d.must(200, "POST", dv("hostPools/hp1/explainConnection"), fmt.Sprintf(`{"connectionId":%q}`, started.Connection))
	d.pool("hp2", "")
	d.refused(404, "ConnectionNotFound", started.Connection, "POST", dv("hostPools/hp2/explainConnection"), fmt.Sprintf(`{"connectionId":%q}`, started.Connection))
	d.refused(404, "ConnectionNotFound", "", "GET", at+"/none"+version, "")
	// Its user may see it without a role; a stranger may not tell it from none.
	if r := d.send("operator", "GET", at+"/"+started.Connection+version, ""); r.status != 200 {
		t.Errorf("to its user: %d %s", r.status, r.raw)
	}
	if r := d.send("guest", "GET", at+"/"+started.Connection+version, ""); r.status != 404 {
		t.Errorf("to a stranger: %d %s", r.status, r.raw)
	}
	if r := d.send("guest", "GET", at+version, ""); r.status != 403 {
		t.Errorf("a list to a stranger: %d %s", r.status, r.raw)
	}
	for path, want := range map[string]int{
		at + version: 1, at + version + "&user=OPERATOR@example.com": 1, at + version + "&user=ann": 0, at + version + "&startTime=2999-01-01T00:00:00Z": 0,
		dv("hostPools/hp1/connections"): 1, dv("hostPools/hp2/connections"): 0,
	} {
		if list := d.must(200, "GET", path, "")["value"].([]any); len(list) != want {
			t.Errorf("GET %s lists %d", path, len(list))
		}
	}
}

func TestAPlaceThatIsReservedIsAPendingSession(t *testing.T) {
	d, desktop, host := office(t)
	reader := deskyard.Principal{ObjectID: personID(2), Name: "reader@example.com", Kind: "User"}
	started, err := d.connect.Connect(t.Context(), reader, desktop, connect.Ask{Door: deskyard.DoorWeb})
	if err != nil {
		t.Fatal(err)
	}
	var pending string
	for _, path := range []string{"hostPools/hp1/userSessions", "hostPools/hp1/sessionHosts/sh-0/userSessions"} {
		list := d.must(200, "GET", dv(path), "")["value"].([]any)
		if len(list) != 2 {
			t.Fatalf("%s lists %v", path, list)
		}
		s := list[1].(map[string]any)
		p := s["properties"].(map[string]any)
		if p["sessionState"] != "Pending" || p["userPrincipalName"] != reader.Name || p["objectId"] != started.Connection {
			t.Errorf("%s: %v", path, p)
		}
		pending = s["name"].(string)
	}
	at := "hostPools/hp1/sessionHosts/sh-0/userSessions/" + pending[strings.LastIndexByte(pending, '/')+1:]
	if p := d.must(200, "GET", dv(at), ""); p["sessionState"] != "Pending" {
		t.Errorf("%v", p)
	}
	d.must(200, "DELETE", dv(at), "")
	if list := d.must(200, "GET", dv("hostPools/hp1/userSessions"), "")["value"].([]any); len(list) != 1 {
		t.Errorf("left: %v", list)
	}
	if len(d.fleet.commands) != 0 {
		t.Errorf("the host was told %v of a session that it has not got", d.fleet.commands)
	}
	if _, err := d.connect.Admit(t.Context(), deskyard.AdmitRequest{Ticket: started.Ticket, Leg: strings.Repeat("0", 32), URLs: []string{"https://gw"}}); err == nil || !strings.Contains(err.Error(), connect.TicketInvalid) {
		t.Errorf("the ticket of a released place: %v", err)
	}
	if slots, err := d.store.Slots(t.Context(), deskyard.SlotQuery{Host: host.ObjectID}); err != nil || len(slots) != 0 {
		t.Errorf("slots %v, %v", slots, err)
	}
}

func TestWhatIfSaysWhereAUserWouldGo(t *testing.T) {
	d, _, _ := office(t)
	ask := `{"userPrincipalName":"operator@example.com"}`
	for _, path := range []string{dv("hostPools/hp1/whatIfConnection"), "/subscriptions/" + testSub + "/providers/" + desktopNamespace + "/whatIfConnection?api-version=" + stableVersion} {
		list := d.must(200, "POST", path, ask)["value"].([]any)
		if len(list) != 1 {
			t.Fatalf("%s: %v", path, list)
		}
		o := list[0].(map[string]any)
		if o["sessionHostName"] != "sh-0" || o["result"] != "sh-0" || o["hostPoolName"] != "hp1" || o["failure"] != nil {
			t.Errorf("%s: %v", path, o)
		}
	}
	d.must(200, "PATCH", dv("hostPools/hp1/sessionHosts/sh-0"), `{"properties":{"allowNewSession":false}}`)
	o := d.must(200, "POST", dv("hostPools/hp1/whatIfConnection"), ask)["value"].([]any)[0].(map[string]any)
	if o["result"] != "ConnectionFailedNoHealthyRdshAvailable" || !strings.Contains(o["reason"].(string), "drain mode") {
		t.Errorf("in drain mode: %v", o)
	}
	d.refused(400, "InvalidParameter", "userPrincipalName", "POST", dv("hostPools/hp1/whatIfConnection"), `{}`)
	d.refused(404, "UserNotFound", "nobody", "POST", dv("hostPools/hp1/whatIfConnection"), `{"userPrincipalName":"nobody"}`)
}

// cut are relays that note what they were told to end.
type cut []string

func (c *cut) Disconnect(connection, _ string) bool {
	*c = append(*c, connection)
	return true
}

func TestAUserOfAHostOutOfReachIsCutOffAtTheGateway(t *testing.T) {
	d, desktop, host := office(t)
	var relays cut
	d.connect.Use(&relays)
	reader := deskyard.Principal{ObjectID: personID(2), Name: "reader@example.com", Kind: "User"}
	started, err := d.connect.Connect(t.Context(), reader, desktop, connect.Ask{Door: deskyard.DoorWeb})
	if err != nil {
		t.Fatal(err)
	}
	d.tx(func(ctx context.Context, tx deskyard.Tx) error {
		h, err := tx.SessionHost(ctx, host.ID)
		if err != nil {
			return err
		}
		h.Report.Sessions = append(h.Report.Sessions, session(7, reader.Name))
		_, err = tx.PutSessionHost(ctx, h)
		return err
	})
	d.fleet.Drop(host.ObjectID, "test") // its link is gone
	d.must(200, "POST", dv("hostPools/hp1/sessionHosts/sh-0/userSessions/7/disconnect"), "")
	if len(relays) != 1 || relays[0] != started.Connection {
		t.Errorf("ended %v", relays)
	}
	d.refused(409, "SessionHostUnreachable", "", "POST", dv("hostPools/hp1/sessionHosts/sh-0/userSessions/1/disconnect"), "") // no connection of ours
}
