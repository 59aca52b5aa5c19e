package reverse

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Leg is what a host shows at a gateway to open a leg.
type Leg struct {
	ID    string `json:"leg"`
	Host  string `json:"host"`  // the host's object id
	Proof []byte `json:"proof"` // its signature over LegProof
}

// DialLeg opens a leg at a gateway. What is read and written then is the client's stream.
func DialLeg(ctx context.Context, base, pin string, leg Leg) (io.ReadWriteCloser, error) {
	conn, err := Dial(ctx, base, PinnedGateway(pin))
	if err != nil {
		return nil, err
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(dialTime)
	}
	err = conn.SetDeadline(deadline)
	if err == nil {
		err = leg.open(conn, base)
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// open asks for the leg and reads the answer.
func (l Leg) open(conn io.ReadWriter, base string) error {
	u, err := url.Parse(base)
	if err != nil {
		return err
	}
	u.Path = LegPath + l.ID
	r := &http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {LegProtocol}, LegHost: {l.Host}, LegHeader: {base64.StdEncoding.EncodeToString(l.Proof)},
	}}
	if err := r.Write(conn); err != nil {
		return fmt.Errorf("ask for the leg: %w", err)
	}
	in := bufio.NewReader(io.LimitReader(conn, 16<<10))
	resp, err := http.ReadResponse(in, r)
	if err != nil {
		return fmt.Errorf("read the gateway's answer: %w", err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 300)) // the status says it already
		return fmt.Errorf("the gateway answers HTTP %s: %s", resp.Status, why)
	}
	if in.Buffered() > 0 {
		return errors.New("the gateway speaks before the host can")
	}
	return nil
}
