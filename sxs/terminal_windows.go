package sxs

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/google/uuid"
	"golang.org/x/sys/windows"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/socket"
)

// parts says whether the RDP server ends TLS before it closes a connection. Whether that
// of Windows does was not tried.
const parts = false

// watchSignIns does nothing: what the terminal services refuse, and when a session's shell
// is up, they say to the client alone, or in an event log that the stack does not read.
func (l *legs) watchSignIns(context.Context) {}

// terminal is the sessions of a Windows machine, as the terminal services keep
// them. It was compiled, and not run on a real Windows.
type terminal struct{ principals *principals }

func newSessions(log *slog.Logger) sessions {
	return &terminal{&principals{ask: askDomain, log: log, now: time.Now}}
}

// upnLength is the first guess at a user principal name's length; longer ones take
// another call.
const upnLength = 80

// askDomain asks the domain for the user principal name of DOMAIN\user.
func askDomain(_ context.Context, account string) (string, error) {
	return windows.TranslateAccountName(account, windows.NameSamCompatible, windows.NameUserPrincipal, upnLength)
}

// principal is the name by which the service knows a user: the machine's own accounts
// have none but their own.
func (t *terminal) principal(ctx context.Context, domain, user string) string {
	if machine, err := windows.ComputerName(); err != nil || domain == "" || strings.EqualFold(machine, domain) {
		return user
	}
	return t.principals.of(ctx, domain+`\`+user, user)
}

// Functions of wtsapi32.dll that x/sys/windows does not wrap, and the classes of
// information asked of them (WTS_INFO_CLASS).
var (
	wtsapi         = windows.NewLazySystemDLL("wtsapi32.dll")
	wtsQuery       = wtsapi.NewProc("WTSQuerySessionInformationW")
	wtsDisconnect  = wtsapi.NewProc("WTSDisconnectSession")
	wtsLogoff      = wtsapi.NewProc("WTSLogoffSession")
	wtsSendMessage = wtsapi.NewProc("WTSSendMessageW")
)

const (
	wtsUserName   = 5
	wtsDomainName = 7
	wtsClientName = 10
	thisServer    = windows.Handle(0)
)

func (t *terminal) list(ctx context.Context) ([]deskyard.UserSession, error) {
	var first *windows.WTS_SESSION_INFO
	var count uint32
	if err := windows.WTSEnumerateSessions(thisServer, 0, 1, &first, &count); err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	defer windows.WTSFreeMemory(uintptr(unsafe.Pointer(first)))
	list := []deskyard.UserSession{}
	for _, s := range unsafe.Slice(first, count) {
		user := query(s.SessionID, wtsUserName)
		if user == "" { // services, listeners and login screens
			continue
		}
		domain := query(s.SessionID, wtsDomainName)
		state := "Active"
		if s.State != windows.WTSActive {
			state = "Disconnected"
		}
		native := strconv.FormatUint(uint64(s.SessionID), 10)
		list = append(list, deskyard.UserSession{
			ID: int(s.SessionID), Native: native, ObjectID: uuid.NewSHA1(uuid.NameSpaceOID, []byte("deskyard session "+domain+`\`+user+" "+native)).String(),
			User: t.principal(ctx, domain, user), Account: domain + `\` + user, State: state, ApplicationType: "Desktop", ClientAddress: query(s.SessionID, wtsClientName),
		})
	}
	return list, nil
}

// query reads a text that the terminal services know of a session; "" if none.
func query(session uint32, class uintptr) string {
	var buffer *uint16
	var size uint32
	ok, _, _ := wtsQuery.Call(uintptr(thisServer), uintptr(session), class, uintptr(unsafe.Pointer(&buffer)), uintptr(unsafe.Pointer(&size)))
	if ok == 0 || buffer == nil {
		return ""
	}
	defer windows.WTSFreeMemory(uintptr(unsafe.Pointer(buffer)))
	return windows.UTF16PtrToString(buffer)
}

func (t *terminal) disconnect(_ context.Context, native string) error {
	return end(wtsDisconnect, native)
}

func (t *terminal) logoff(_ context.Context, native string) error { return end(wtsLogoff, native) }

// end calls a function of the form (server, session, wait).
func end(f *windows.LazyProc, native string) error {
	id, err := sessionID(native)
	if err != nil {
		return err
	}
	if ok, _, err := f.Call(uintptr(thisServer), uintptr(id), 0); ok == 0 {
		return err
	}
	return nil
}

// messageStays is how long a message stays if nobody closes it.
const messageStays = 10 * time.Minute

func (t *terminal) message(_ context.Context, native, title, body string) error {
	id, err := sessionID(native)
	if err != nil {
		return err
	}
	head, err := windows.UTF16FromString(title)
	if err != nil {
		return fmt.Errorf("encode the title: %w", err)
	}
	text, err := windows.UTF16FromString(body)
	if err != nil {
		return fmt.Errorf("encode the message: %w", err)
	}
	var answer uint32
	ok, _, err := wtsSendMessage.Call(uintptr(thisServer), uintptr(id),
		uintptr(unsafe.Pointer(&head[0])), uintptr(2*(len(head)-1)), uintptr(unsafe.Pointer(&text[0])), uintptr(2*(len(text)-1)),
		windows.MB_OK|windows.MB_ICONINFORMATION, uintptr(messageStays.Seconds()), uintptr(unsafe.Pointer(&answer)), 0)
	if ok == 0 {
		return err
	}
	return nil
}

func sessionID(native string) (uint32, error) {
	id, err := strconv.ParseUint(native, 10, 32)
	if err != nil {
		return 0, &socket.Error{Status: http.StatusNotFound, Message: "there is no such session"}
	}
	return uint32(id), nil
}

// builtin is Windows' own RDP listener, which needs no preparation. Windows renews its
// certificate by itself, so it is looked at now and then.
type builtin struct{ certificate atomic.Pointer[string] }

func newListener(*slog.Logger) listener { return &builtin{} }

func (b *builtin) prepare(ctx context.Context) error {
	c, err := shown(ctx, rdpAddress)
	if err != nil {
		return err
	}
	b.certificate.Store(&c)
	return nil
}

func (b *builtin) state(ctx context.Context) Listener {
	if err := probe(ctx, rdpAddress); err != nil {
		return Listener{Detail: "The RDP listener does not answer on " + rdpAddress + " (" + err.Error() + "). Allow remote connections to this computer, and look at qwinsta."}
	}
	l := Listener{Ready: true, Encryption: "negotiate"}
	if c := b.certificate.Load(); c != nil {
		l.Certificate = *c
	}
	return l
}
