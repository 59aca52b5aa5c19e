package feed

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/connect"
)

// avdPath is where AVD's clients ask for a connection.
const avdPath = "/api/arm/v2/connections"

// avdWish is their request; what else is in it means nothing to us.
type avdWish struct {
	Application     string `json:"application"`
	LoadBalanceInfo string `json:"loadBalanceInfo"`
}

// avdBegun tells them where to go on.
type avdBegun struct {
	Gateway     string `json:"gatewayLocation"`
	Server      string `json:"redirectedServerName"`
	User        string `json:"redirectedUsername"`
	Certificate string `json:"redirectedServerCert"`
	ID          string `json:"redirectedAuthGuid"`
	Blob        string `json:"redirectedAuthBlob"`
}

// avdRefusal is how they read errors. E_PROXY_ORCHESTRATION_LB_SESSIONHOST_DEALLOCATED
// makes them wait and ask again.
type avdRefusal struct {
	Code    string `json:"Code"`
	Message string `json:"Message"`
}

// avd decides a connection for a client of AVD's own request.
func (d *Door) avd(w http.ResponseWriter, r *http.Request) {
	begun, err := d.avdBegin(w, r)
	if err == nil {
		answer(w, http.StatusOK, begun)
		return
	}
	status, body := statusOf(err)
	switch {
	case status == http.StatusInternalServerError:
		d.log.ErrorContext(r.Context(), "user's request broken off", "path", r.URL.Path, "err", err)
	case status != http.StatusUnauthorized:
		status = http.StatusBadRequest // the one that they read the body of
	}
	answer(w, status, avdRefusal{body.Symbol, body.Message})
}

func (d *Door) avdBegin(w http.ResponseWriter, r *http.Request) (b avdBegun, err error) {
	p, err := d.o.Accounts.Authenticate(r)
	if err != nil {
		return b, err
	}
	var q avdWish
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&q); err != nil {
		return b, arm.Errorf(arm.Invalid, "InvalidRequestContent", "The request's body is not a connection request.")
	}
	id, ok := ResourceOf(q.LoadBalanceInfo)
	if !ok {
		return b, arm.Errorf(arm.Invalid, "InvalidLoadBalanceInfo", "The connection file is not one of this service's: download it again.")
	}
	x, _, err := d.find(r, p, id)
	if err != nil {
		return b, err
	}
	started, err := d.o.Connections.Connect(r.Context(), p, x.ID, connect.Ask{Door: deskyard.DoorAVD, Client: clientOf(r, deskyard.ClientInfo{})})
	if err != nil {
		var f *deskyard.ConnectionFailure
		if errors.As(err, &f) {
			d.log.InfoContext(r.Context(), "AVD client refused", "connection", started.Connection, "symbol", f.Symbol)
		}
		return b, err
	}
	to, err := d.o.Promise(started.Ticket)
	if err != nil {
		return b, err
	}
	return avdBegun{
		Gateway: "wss://" + withPort(d.public.Host) + to.Path, Server: started.Host, User: p.Name,
		Certificate: to.Certificate, ID: to.ID, Blob: to.AuthBlob,
	}, nil
}
