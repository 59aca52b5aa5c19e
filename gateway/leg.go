package gateway

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/deskyard/deskyard/relay"
	"github.com/deskyard/deskyard/reverse"
)

// leg takes a host's connection for a client that awaits it. Whether it is the right
// host's is known when the service has said whose it has to be; until then not a byte
// flows.
func (g *Gateway) leg(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("leg")
	proof, err := base64.StdEncoding.DecodeString(r.Header.Get(reverse.LegHeader))
	host := r.Header.Get(reverse.LegHost)
	switch {
	case !reverse.LegID(id) || err != nil || len(proof) == 0 || len(host) > 64 || !strings.EqualFold(r.Header.Get("Upgrade"), reverse.LegProtocol):
		http.Error(w, "This address takes connections of session hosts only. Users open the web client at the address of the service.", http.StatusBadRequest)
		return
	case !g.legs.Awaits(id):
		http.Error(w, "No client waits for this connection; it was too late, or it is not the first. The service asks again when somebody connects.", http.StatusGone)
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "Connections of session hosts need HTTP/1.1.", http.StatusHTTPVersionNotSupported)
		return
	}
	err = conn.SetDeadline(time.Now().Add(greetWithin)) // also ends the server's own deadlines
	if err == nil {
		_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+reverse.LegProtocol+"\r\n\r\n")
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err == nil && rw.Reader.Buffered() > 0 {
		err = errors.New("it spoke before it was asked")
	}
	if err == nil {
		err = g.legs.Bring(id, relay.Arrival{Conn: conn, Host: host, Proof: proof})
	}
	if err != nil {
		g.log.Info("leg not taken", "host", host, "err", err)
		_ = conn.Close() // there is nobody to tell
	}
}
