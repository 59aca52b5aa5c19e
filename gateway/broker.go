package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/deskyard/deskyard"
)

// The brokerage over HTTPS, for gateways that are processes of their own. All are POST
// with JSON below BrokerPath:
//
//	admit        deskyard.AdmitRequest -> the admission, or 409 and why not
//	connected    connection, stages
//	ended        deskyard.ConnectionEnd
//	relaying     deskyard.RelayReport, at its start and each minute
//	orders       number of the last one -> what to do since, once there is something
//	certificate  a key that the gateway made -> its next certificate
//
// A gateway shows its client certificate, and Protocol in its ClientHello: the service
// asks nobody else for one.
const (
	BrokerPath = "/gateway/v1/broker/"
	Protocol   = "deskyard-gateway/1"
)

const (
	verbAdmit       = "admit"
	verbConnected   = "connected"
	verbEnded       = "ended"
	verbRelaying    = "relaying"
	verbOrders      = "orders"
	verbCertificate = "certificate"

	maxBroker = 64 << 10 // bytes of a body; tickets and stages have some hundreds
	maxReport = 4 << 20  // of a report: a hundred thousand connections
)

type (
	// admissionWire is a deskyard.Admission on its way, with what it keeps out of JSON.
	admissionWire struct {
		deskyard.Admission
		Certificate []byte  `json:"certificate"`
		SignOn      *signOn `json:"signOn,omitempty"`
	}
	signOn struct {
		Account  string `json:"account"`
		Password string `json:"password"`
	}
	connected struct {
		Connection string                     `json:"connection"`
		Stages     []deskyard.ConnectionStage `json:"stages"`
	}
	renewal struct {
		Key []byte `json:"key"` // DER, SubjectPublicKeyInfo
	}
	renewed struct {
		Certificate string `json:"certificate"` // PEM, the leaf first
	}
	refusal struct {
		Failure *deskyard.ConnectionFailure `json:"failure,omitempty"`
		Message string                      `json:"message,omitempty"`
	}
	nothing struct{}
)

func toWire(a deskyard.Admission) admissionWire {
	return admissionWire{Admission: a, Certificate: a.Certificate[:], SignOn: (*signOn)(a.SignOn)}
}

func (w admissionWire) admission() (deskyard.Admission, error) {
	a := w.Admission
	if len(w.Certificate) != len(a.Certificate) {
		return a, fmt.Errorf("read the admission: the certificate's digest has %d bytes", len(w.Certificate))
	}
	copy(a.Certificate[:], w.Certificate)
	a.SignOn = (*deskyard.SignOn)(w.SignOn)
	return a, nil
}

// BrokerDoor answers gateways elsewhere. All fields are required.
type BrokerDoor struct {
	Brokerage deskyard.Brokerage
	// Who is the name of the gateway that calls; its error, where the caller is none of
	// the service's, is told to the caller.
	Who func(*http.Request) (name string, err error)
	// Renew certifies a new public key (DER) for the caller; the answer is PEM.
	Renew  func(r *http.Request, key []byte) (certificate string, err error)
	Orders *Orders
	Log    *slog.Logger
}

// ServeHTTP implements http.Handler for the paths below BrokerPath.
func (d *BrokerDoor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, err := d.Who(r)
	if err != nil {
		d.Log.Warn("gateway refused", "client", r.RemoteAddr, "err", err)
		reply(w, http.StatusForbidden, refusal{Message: err.Error()})
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		reply(w, http.StatusMethodNotAllowed, refusal{Message: "the brokerage takes POST"})
		return
	}
	switch verb, _ := strings.CutPrefix(r.URL.Path, BrokerPath); verb {
	case verbAdmit:
		carry(d, w, r, name, func(ctx context.Context, q deskyard.AdmitRequest) (admissionWire, error) {
			q.Gateway = name // what it is called is not its to say
			a, err := d.Brokerage.Admit(ctx, q)
			return toWire(a), err
		})
	case verbConnected:
		carry(d, w, r, name, func(ctx context.Context, c connected) (nothing, error) {
			return nothing{}, d.Brokerage.Connected(ctx, c.Connection, c.Stages)
		})
	case verbEnded:
		carry(d, w, r, name, func(ctx context.Context, e deskyard.ConnectionEnd) (nothing, error) {
			return nothing{}, d.Brokerage.Ended(ctx, e)
		})
	case verbRelaying:
		carry(d, w, r, name, func(ctx context.Context, q deskyard.RelayReport) (nothing, error) {
			q.Gateway = name
			return nothing{}, d.Brokerage.Relaying(ctx, q)
		})
	case verbOrders:
		carry(d, w, r, name, func(ctx context.Context, q orderQuery) (orderAnswer, error) {
			return d.Orders.wait(ctx, q.After)
		})
	case verbCertificate:
		carry(d, w, r, name, func(_ context.Context, q renewal) (renewed, error) {
			c, err := d.Renew(r, q.Key)
			return renewed{c}, err
		})
	default:
		reply(w, http.StatusNotFound, refusal{Message: "the brokerage has no " + r.URL.Path})
	}
}

// carry decodes what a gateway sends, does it and answers.
func carry[In, Out any](d *BrokerDoor, w http.ResponseWriter, r *http.Request, name string, do func(context.Context, In) (Out, error)) {
	var in In
	most := int64(maxBroker)
	if r.URL.Path == BrokerPath+verbRelaying {
		most = maxReport
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, most)).Decode(&in); err != nil {
		reply(w, http.StatusBadRequest, refusal{Message: "read the request: " + err.Error()})
		return
	}
	out, err := do(r.Context(), in)
	var failure *deskyard.ConnectionFailure
	switch {
	case errors.As(err, &failure):
		reply(w, http.StatusConflict, refusal{Failure: failure})
	case err != nil:
		d.Log.Error("gateway not served", "gateway", name, "path", r.URL.Path, "err", err)
		reply(w, http.StatusInternalServerError, refusal{Message: "the service could not do it; its log says why"})
	default:
		reply(w, http.StatusOK, out)
	}
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// The status is out; a caller that has gone cannot be told anything more.
	_ = json.NewEncoder(w).Encode(body)
}

// readAnswer decodes what the door answers: into out, or as the error that it is.
func readAnswer(status int, body io.Reader, out any) error {
	b, err := io.ReadAll(io.LimitReader(body, maxBroker+1))
	if err != nil {
		return err
	}
	if len(b) > maxBroker {
		return fmt.Errorf("the answer has more than %d bytes", maxBroker)
	}
	if status == http.StatusOK {
		return json.Unmarshal(b, out)
	}
	var why refusal
	if err := json.Unmarshal(b, &why); err != nil {
		return fmt.Errorf("HTTP status %d", status) // of something between, which speaks no JSON
	}
	if why.Failure != nil {
		return why.Failure
	}
	return fmt.Errorf("HTTP status %d: %s", status, why.Message)
}
