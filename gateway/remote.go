package gateway

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/reverse"
)

// Remote is the service's brokerage over HTTPS.
type Remote struct {
	bases  []string
	client *http.Client
}

// NewRemote makes a Remote for a service at these base URLs, tried in order, whose CA
// has the pin; certificate is what the gateway shows.
func NewRemote(bases []string, pin string, certificate func() *tls.Certificate) *Remote {
	c := reverse.Pinned(pin)
	c.NextProtos = []string{Protocol, "http/1.1"}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate(), nil }
	return &Remote{bases: bases, client: &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: c, TLSHandshakeTimeout: 10 * time.Second,
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext, // a dead address must leave time for the next
			MaxIdleConnsPerHost: 32, IdleConnTimeout: time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Admit implements deskyard.Brokerage.
func (r *Remote) Admit(ctx context.Context, q deskyard.AdmitRequest) (deskyard.Admission, error) {
	var w admissionWire
	if err := r.call(ctx, verbAdmit, q, &w); err != nil {
		return deskyard.Admission{}, err
	}
	return w.admission()
}

// Connected implements deskyard.Brokerage.
func (r *Remote) Connected(ctx context.Context, connection string, stages []deskyard.ConnectionStage) error {
	return r.call(ctx, verbConnected, connected{connection, stages}, &nothing{})
}

// Ended implements deskyard.Brokerage.
func (r *Remote) Ended(ctx context.Context, e deskyard.ConnectionEnd) error {
	return r.call(ctx, verbEnded, e, &nothing{})
}

// Relaying implements deskyard.Brokerage.
func (r *Remote) Relaying(ctx context.Context, q deskyard.RelayReport) error {
	return r.call(ctx, verbRelaying, q, &nothing{})
}

// Renew has the service certify a key; the answer is PEM, the leaf first.
func (r *Remote) Renew(ctx context.Context, key crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("encode the gateway's key: %w", err)
	}
	var a renewed
	err = r.call(ctx, verbCertificate, renewal{der}, &a)
	return a.Certificate, err
}

// orders asks what to do since an order; it waits until there is something.
func (r *Remote) orders(ctx context.Context, after uint64) (a orderAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, waitOrders+greetWithin)
	defer cancel()
	err = r.call(ctx, verbOrders, orderQuery{after}, &a)
	return a, err
}

// Close ends connections that are kept for later.
func (r *Remote) Close() { r.client.CloseIdleConnections() }

// call asks the first address that can be dialled. What was sent is not sent again: a
// ticket works once.
func (r *Remote) call(ctx context.Context, verb string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode %s: %w", verb, err)
	}
	var errs []error
	for _, base := range r.bases {
		err := r.ask(ctx, base, verb, body, out)
		var failure *deskyard.ConnectionFailure
		if err == nil || errors.As(err, &failure) {
			return err
		}
		errs = append(errs, fmt.Errorf("ask the service at %s to %s: %w", base, verb, err))
		if !undialled(err) {
			break
		}
	}
	return errors.Join(errs...)
}

func undialled(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func (r *Remote) ask(ctx context.Context, base, verb string, body []byte, out any) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, base+BrokerPath+verb, bytes.NewReader(body))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/json")
	resp, err := r.client.Do(q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return readAnswer(resp.StatusCode, resp.Body, out)
}
