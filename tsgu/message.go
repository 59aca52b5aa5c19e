package tsgu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unicode/utf16"
)

// Ways in which a client may prove itself beyond HTTP (HTTP_EXTENDED_AUTH).
const (
	authNone   = 0
	authPAA    = 2 // a cookie: our ticket
	authBearer = 8 // FreeRDP 3: a ticket in the HTTP request's Authorization
)

// Codes of errors, as clients translate them ([MS-TSGU] 2.2.6).
const (
	CodeInternal     = 0x800759D8 // E_PROXY_INTERNALERROR
	CodeCapability   = 0x800759E9 // E_PROXY_CAPABILITYMISMATCH
	CodeAccessDenied = 0x800759DB // E_PROXY_RAP_ACCESSDENIED: not this host, or not now
	CodeBadCookie    = 0x800759F8 // E_PROXY_COOKIE_AUTHENTICATION_ACCESS_DENIED
	CodeConnect      = 0x800759DD // E_PROXY_TS_CONNECTFAILED
)

// Capabilities (HTTP_CAPABILITY_TYPE).
const (
	capIdleTimeout    = 0x2 // ours
	capServiceMessage = 0x8 // of clients that show people a text of the gateway's
)

// Fields present in packets.
const (
	fieldCookie       = 0x1 // of a tunnel create
	fieldTunnelID     = 0x1 // of a tunnel response
	fieldCapabilities = 0x2
	fieldRedirection  = 0x1 // of an authorization response
	fieldIdle         = 0x2
	fieldChannelID    = 0x1 // of a channel response
)

// Flags of redirection (HTTP_TUNNEL_REDIR_FLAGS).
const (
	redirectAll        = 0x80000000
	redirectNone       = 0x40000000
	disableDrives      = 0x1
	disablePrinters    = 0x2
	disablePorts       = 0x4
	disableClipboard   = 0x8
	disablePlugAndPlay = 0x10
)

// Redirection is which of the client's devices may be used.
type Redirection struct {
	Clipboard, Drives, Printers, Ports, PnP bool
}

func (r Redirection) flags() uint32 {
	var f uint32
	for flag, allowed := range map[uint32]bool{
		disableDrives: r.Drives, disablePrinters: r.Printers, disablePorts: r.Ports, disableClipboard: r.Clipboard, disablePlugAndPlay: r.PnP,
	} {
		if !allowed {
			f |= flag
		}
	}
	switch f {
	case 0:
		return redirectAll
	case disableDrives | disablePrinters | disablePorts | disableClipboard | disablePlugAndPlay:
		return redirectNone
	}
	return f
}

var errShort = errors.New("the packet is shorter than its fields")

func parseHandshake(b []byte) (auth uint16, err error) {
	f := fields{rest: b}
	major, _, _ := f.u8(), f.u8(), f.u16()
	auth = f.u16()
	switch {
	case f.short:
		return 0, fmt.Errorf("read handshake: %w", errShort)
	case major != 1:
		return 0, fmt.Errorf("read handshake: version %d is not 1", major)
	}
	return auth, nil
}

func handshakeResponse(code uint32, auth uint16) []byte {
	return encode(typeHandshakeResponse, code, uint8(1), uint8(0), uint16(0), auth)
}

// parseTunnelCreate gives the cookie, "" where there is none, and what the client can.
func parseTunnelCreate(b []byte) (cookie string, capabilities uint32, err error) {
	f := fields{rest: b}
	capabilities = f.u32()
	present, _ := f.u16(), f.u16()
	if present&fieldCookie != 0 {
		cookie = f.text()
	}
	if f.short {
		return "", 0, fmt.Errorf("read tunnel create: %w", errShort)
	}
	return cookie, capabilities, nil
}

func tunnelResponse(code, tunnel uint32) []byte {
	return encode(typeTunnelResponse, uint16(0), code, uint16(fieldTunnelID|fieldCapabilities), uint16(0), tunnel, uint32(capIdleTimeout))
}

// parseTunnelAuth gives the name that the client has for itself.
func parseTunnelAuth(b []byte) (client string, err error) {
	f := fields{rest: b}
	_ = f.u16() // fields present: a statement of health, which nobody sends
	client = f.text()
	if f.short {
		return "", fmt.Errorf("read tunnel authorization: %w", errShort)
	}
	return client, nil
}

func tunnelAuthReply(code uint32, r Redirection, idle time.Duration) []byte {
	return encode(typeTunnelAuthReply, code, uint16(fieldRedirection|fieldIdle), uint16(0), r.flags(), uint32(idle/time.Minute))
}

// Destination is the host that a client asks for: names, the first being the best.
type Destination struct {
	Names []string
	Port  uint16
}

func parseChannelCreate(b []byte) (d Destination, err error) {
	f := fields{rest: b}
	names, others := int(f.u8()), int(f.u8())
	d.Port, _ = f.u16(), f.u16()
	if names == 0 || names+others > 50 { // [MS-TSGU] 2.2.10.5 allows 50 and 3
		return d, fmt.Errorf("read channel create: %d names and %d others, not between 1 and 50", names, others)
	}
	for range names + others {
		d.Names = append(d.Names, f.text())
	}
	if f.short {
		return d, fmt.Errorf("read channel create: %w", errShort)
	}
	return d, nil
}

func channelResponse(code, channel uint32) []byte {
	return encode(typeChannelResponse, code, uint16(fieldChannelID), uint16(0), channel)
}

// maxMessage bounds a text for people: what one dialog holds.
const maxMessage = 1000 // UTF-16 units

func serviceMessage(text string) []byte {
	units := utf16.Encode([]rune(text))
	units = units[:min(len(units), maxMessage)]
	var b []byte
	for _, u := range units {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return encode(typeServiceMessage, uint16(len(b)), b)
}
