package armapi

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/deskyard/deskyard/arm"
)

// Files of boot diagnostics, as their URLs end.
const (
	consoleFile    = "serialconsole.log"
	screenshotFile = "screenshot.png"
)

// Bounds of how long the URLs of boot diagnostics work, in minutes.
const (
	diagnosticsMinutes    = 120
	maxDiagnosticsMinutes = 1440
)

// bootTicket lets its bearer read one machine's boot diagnostics for a while.
type bootTicket struct {
	ID      string `json:"i"`
	Expires int64  `json:"e"` // Unix seconds
}

// bootDiagnostics answers two URLs that need no further signing in, as Azure's with
// their signatures. They work until the service restarts, at the longest.
func (s *Server) bootDiagnostics(ctx context.Context, req *Request) (Response, error) {
	if s.opt.Machines == nil {
		return Response{}, errNoHypervisor(req.ID)
	}
	minutes := diagnosticsMinutes
	if text := req.Query("sasUriExpirationTimeInMinutes"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxDiagnosticsMinutes {
			return Response{}, badQuery("sasUriExpirationTimeInMinutes", text, fmt.Sprintf("a whole number from 1 to %d", maxDiagnosticsMinutes))
		}
		minutes = n
	}
	r, err := req.Load(ctx, s.store)
	if err != nil {
		return Response{}, err
	}
	ticket, err := s.signTicket(bootTicket{ID: r.ID.String(), Expires: s.now().Add(time.Duration(minutes) * time.Minute).Unix()})
	if err != nil {
		return Response{}, err
	}
	base := req.BaseURL + "/bootdiagnostics/" + ticket + "/"
	return Response{Body: map[string]string{
		"consoleScreenshotBlobUri": base + screenshotFile, "serialConsoleLogBlobUri": base + consoleFile}}, nil
}

func (s *Server) signTicket(t bootTicket) (string, error) {
	data, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("encode the ticket for %s: %w", t.ID, err)
	}
	return base64.RawURLEncoding.EncodeToString(data) + "." + base64.RawURLEncoding.EncodeToString(s.ticketMAC(data)), nil
}

func (s *Server) ticketMAC(data []byte) []byte {
	mac := hmac.New(sha256.New, s.ticketKey[:])
	mac.Write(data)
	return mac.Sum(nil)
}

// readTicket refuses what the service did not sign, and what is too old.
func (s *Server) readTicket(text string) (arm.ResourceID, error) {
	refused := arm.Errorf(arm.Forbidden, "AuthenticationFailed",
		"The URL is not one that this service signed, or it has expired. Ask for retrieveBootDiagnosticsData again.")
	payload, signature, _ := strings.Cut(text, ".")
	data, errData := base64.RawURLEncoding.DecodeString(payload)
	sum, errSum := base64.RawURLEncoding.DecodeString(signature)
	if errData != nil || errSum != nil || !hmac.Equal(sum, s.ticketMAC(data)) {
		return arm.ResourceID{}, refused
	}
	var t bootTicket
	if json.Unmarshal(data, &t) != nil || s.now().Unix() >= t.Expires {
		return arm.ResourceID{}, refused
	}
	id, err := arm.ParseID(t.ID)
	if err != nil {
		return id, refused
	}
	return id, nil
}

// rawBody is an answer that is not JSON.
type rawBody struct {
	contentType string
	data        []byte
}

// bootDiagnosticsFile serves the serial log or the screenshot behind a signed URL.
func (s *Server) bootDiagnosticsFile(ctx context.Context, req *Request) (Response, error) {
	id, err := s.readTicket(req.Vars["ticket"])
	if err != nil {
		return Response{}, err
	}
	if s.opt.Machines == nil {
		return Response{}, errNoHypervisor(id)
	}
	switch req.Vars["file"] {
	case consoleFile:
		data, err := s.opt.Machines.Console(ctx, id)
		return Response{Body: rawBody{"text/plain; charset=utf-8", data}}, err
	case screenshotFile:
		data, err := s.opt.Machines.Screenshot(ctx, id)
		return Response{Body: rawBody{"image/png", data}}, err
	}
	return Response{}, unknownPath("/bootdiagnostics/…/" + clip(req.Vars["file"]))
}

// contentType is the media type of an answer.
func contentType(body any) string {
	if raw, ok := body.(rawBody); ok {
		return raw.contentType
	}
	return contentJSON
}
