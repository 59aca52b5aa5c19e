package feed

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/connect"
)

// Bounds of a request to connect, in bytes and characters.
const (
	maxRequest = 16 << 10
	maxClient  = 256
)

// wish is the body of a request to connect.
type wish struct {
	Resource string              `json:"resourceId"`
	Client   deskyard.ClientInfo `json:"client"`
}

// begun is what a client needs to go on.
type begun struct {
	Connection string    `json:"connectionId"`
	Gateway    string    `json:"gateway"` // wss URL of the RDCleanPath door
	Ticket     string    `json:"ticket"`  // goes there, once, before Expires
	Expires    time.Time `json:"expires"`
	Host       string    `json:"host"`
}

// begin decides a connection of the web client's.
func (d *Door) begin(w http.ResponseWriter, r *http.Request, p deskyard.Principal) error {
	var b wish
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&b); err != nil {
		return arm.Errorf(arm.Invalid, "InvalidRequestContent", "The request's body is not the JSON object {\"resourceId\": …, \"client\": {…}}.")
	}
	id, err := arm.ParseID(b.Resource)
	if err != nil {
		return arm.Errorf(arm.Invalid, "InvalidResourceId", "resourceId is not the id of a desktop or an application from the feed.")
	}
	ask := connect.Ask{Door: deskyard.DoorWeb, Client: clientOf(r, b.Client)}
	started, err := d.o.Connections.Connect(r.Context(), p, id, ask)
	if err != nil {
		d.fail(w, r, started.Connection, err)
		return nil
	}
	answer(w, http.StatusCreated, begun{
		Connection: started.Connection, Gateway: "wss://" + d.gateway.Host + "/gateway/v1/rdp", Ticket: started.Ticket,
		Expires: started.Expires, Host: started.Host,
	})
	return nil
}

// clientOf bounds what a client says of itself.
func clientOf(r *http.Request, c deskyard.ClientInfo) deskyard.ClientInfo {
	for _, s := range []*string{&c.Name, &c.OS, &c.Type, &c.Version} {
		*s = strings.ToValidUTF8((*s)[:min(len(*s), maxClient)], "")
	}
	if c.Type == "" {
		c.Type = strings.ToValidUTF8(r.UserAgent()[:min(len(r.UserAgent()), maxClient)], "")
	}
	c.Address, _, _ = net.SplitHostPort(r.RemoteAddr) // "" where there is none: it is told, never relied on
	return c
}

// progress is what became of a connection. Only its own user may ask.
func (d *Door) progress(w http.ResponseWriter, r *http.Request, p deskyard.Principal) error {
	c, err := d.o.Connections.Explain(r.Context(), r.PathValue("id"))
	if err != nil || c.UserID != p.ObjectID {
		if err != nil && !arm.IsMissing(err) {
			return err
		}
		return arm.Errorf(arm.Missing, "ConnectionNotFound", "You have no connection of that id.")
	}
	body := map[string]any{"connectionId": c.ID, "state": c.State, "started": c.Started, "host": c.Host.Name()}
	if c.Failure != nil {
		_, f := statusOf(c.Failure)
		f.Correlation = c.ID
		body["failure"] = f
	}
	if !c.Ended.IsZero() {
		body["ended"] = c.Ended
	}
	answer(w, http.StatusOK, body)
	return nil
}
