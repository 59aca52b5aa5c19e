package sxs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/signon"
	"github.com/deskyard/deskyard/socket"
)

// firstUserID is where Debian's accounts of people begin; those below belong to the
// system (login.defs, UID_MIN).
const firstUserID = 1000

// nobodyID is the account of nobody, the last below the space for dynamic users.
const nobodyID = 65534

// logind is the sessions of a Linux machine, as systemd-logind keeps them.
type logind struct {
	log        *slog.Logger
	bootID     string
	root       string // of the system's files: "/"
	principals *principals

	mu      sync.Mutex // guards numbers
	numbers map[string]int
}

func newSessions(log *slog.Logger) sessions {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		log.Warn("boot id not read; object ids of sessions may repeat after a reboot", "err", err)
	}
	return &logind{log: log, bootID: strings.TrimSpace(string(boot)), root: "/",
		principals: &principals{ask: askSSSD, log: log, now: time.Now}, numbers: map[string]int{}}
}

// loginSession is what is read of one of logind's sessions.
type loginSession struct {
	id, user, class, kind, service, display, state, remoteHost, tty string
	uid, leader                                                     uint32
	since                                                           time.Time
}

const (
	logindName      = "org.freedesktop.login1"
	logindPath      = "/org/freedesktop/login1"
	logindManager   = "org.freedesktop.login1.Manager"
	logindSession   = "org.freedesktop.login1.Session"
	propertiesGet   = "org.freedesktop.DBus.Properties.GetAll"
	graphicalX11    = "x11"
	graphicalNative = "wayland"
)

func (l *logind) list(ctx context.Context) ([]deskyard.UserSession, error) {
	all, err := l.all(ctx)
	if err != nil {
		return nil, err
	}
	connected, err := connectedDisplays()
	if err != nil {
		return nil, err
	}
	people, err := signon.ReadAccounts(filepath.Join(l.root, signon.AccountsFile))
	if err != nil {
		l.log.Error("user principal names of sessions not known; their accounts are told instead", "err", err)
	}
	list := []deskyard.UserSession{}
	for _, s := range all {
		if !s.ofPerson() {
			continue
		}
		list = append(list, deskyard.UserSession{
			ID: l.number(s.id), Native: s.id, ObjectID: l.objectID(s.id),
			User: l.person(ctx, s, people), Account: s.user, State: s.userState(connected), ApplicationType: l.applicationType(s),
			CreateTime: s.since, ClientAddress: s.remoteHost,
		})
	}
	l.forget(all)
	return list, nil
}

// ofPerson tells sessions of people from those of the system, its services and its
// login screens.
func (s loginSession) ofPerson() bool {
	return s.class == "user" && s.uid >= firstUserID && s.uid != nobodyID && s.state != "closing"
}

// person is the user principal name of whom a session is: written down where the
// account was made for somebody of the service's directory, else asked for.
func (l *logind) person(ctx context.Context, s loginSession, people signon.Accounts) string {
	if upn := people.UPN(int(s.uid)); upn != "" {
		return upn
	}
	return l.principal(ctx, s.user)
}

// userState translates to AVD's states. Behind xrdp a session without a client
// lives on and is Disconnected; logind does not know of that.
func (s loginSession) userState(connected map[string]bool) string {
	if s.display != "" && s.viaXRDP() && !connected[displayNumber(s.display)] {
		return "Disconnected"
	}
	return "Active"
}

func (s loginSession) viaXRDP() bool { return strings.HasPrefix(s.service, "xrdp") }

func (l *logind) all(ctx context.Context) ([]loginSession, error) {
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("reach the system bus (is systemd-logind installed?): %w", err)
	}
	defer conn.Close()
	var rows []struct {
		ID   string
		UID  uint32
		User string
		Seat string
		Path dbus.ObjectPath
	}
	manager := conn.Object(logindName, logindPath)
	if err := manager.CallWithContext(ctx, logindManager+".ListSessions", 0).Store(&rows); err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	var all []loginSession
	for _, row := range rows {
		var p map[string]dbus.Variant
		err := conn.Object(logindName, row.Path).CallWithContext(ctx, propertiesGet, 0, logindSession).Store(&p)
		var gone dbus.Error
		if errors.As(err, &gone) { // it ended since the list was made
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read session %s: %w", row.ID, err)
		}
		s := loginSession{id: row.ID, user: row.User, uid: row.UID,
			class: text(p, "Class"), kind: text(p, "Type"), service: text(p, "Service"), display: text(p, "Display"),
			state: text(p, "State"), remoteHost: text(p, "RemoteHost"), tty: text(p, "TTY")}
		if v, ok := p["Leader"].Value().(uint32); ok {
			s.leader = v
		}
		if v, ok := p["Timestamp"].Value().(uint64); ok {
			s.since = time.UnixMicro(int64(v)).UTC()
		}
		all = append(all, s)
	}
	return all, nil
}

func text(p map[string]dbus.Variant, name string) string {
	s, _ := p[name].Value().(string)
	return s
}

// find gives a person's session by its native id.
func (l *logind) find(ctx context.Context, native string) (loginSession, error) {
	all, err := l.all(ctx)
	if err != nil {
		return loginSession{}, err
	}
	i := slices.IndexFunc(all, func(s loginSession) bool { return s.id == native && s.ofPerson() })
	if i < 0 {
		return loginSession{}, &socket.Error{Status: http.StatusNotFound, Message: "there is no such session; it may have ended"}
	}
	return all[i], nil
}

func (l *logind) logoff(ctx context.Context, native string) error {
	if _, err := l.find(ctx, native); err != nil {
		return err
	}
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("reach the system bus: %w", err)
	}
	defer conn.Close()
	if err := conn.Object(logindName, logindPath).CallWithContext(ctx, logindManager+".TerminateSession", 0, native).Err; err != nil {
		return fmt.Errorf("terminate it: %w", err)
	}
	return nil
}

func (l *logind) disconnect(ctx context.Context, native string) error {
	s, err := l.find(ctx, native)
	if err != nil {
		return err
	}
	if !s.viaXRDP() || s.display == "" {
		return &socket.Error{Status: http.StatusConflict, Message: "it is a " + s.service + " login, which cannot live on without its client; log it off instead"}
	}
	return disconnectDisplay(ctx, displayNumber(s.display))
}

// number gives a session its small integer: logind's own where that is one.
func (l *logind) number(native string) int {
	if n, err := strconv.Atoi(native); err == nil && n > 0 {
		return n
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n, ok := l.numbers[native]; ok {
		return n
	}
	const firstOwn = 100000 // above what logind counts up to between two boots
	n := firstOwn
	for taken := true; taken; {
		taken = false
		for _, used := range l.numbers {
			if used == n {
				n, taken = n+1, true
			}
		}
	}
	l.numbers[native] = n
	return n
}

// forget drops the numbers of sessions that have ended.
func (l *logind) forget(living []loginSession) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for native := range l.numbers {
		if !slices.ContainsFunc(living, func(s loginSession) bool { return s.id == native }) {
			delete(l.numbers, native)
		}
	}
}

// objectID names a session for ever: the same for each report of it, and never that
// of another session on any machine.
func (l *logind) objectID(native string) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte("deskyard session "+l.bootID+" "+native)).String()
}

// displayNumber cuts ":10.0" down to "10".
func displayNumber(display string) string {
	_, n, _ := strings.Cut(display, ":")
	n, _, _ = strings.Cut(n, ".")
	return n
}

// hierarchies are where systemd keeps its control groups: the unified one, and its own
// beside older ones.
var hierarchies = []string{"/sys/fs/cgroup", "/sys/fs/cgroup/systemd"}

// processesOf lists the processes that belong to a session, by their control group.
func processesOf(native string) ([]int, error) {
	var scopes []string
	for _, hierarchy := range hierarchies {
		found, err := filepath.Glob(hierarchy + "/user.slice/user-*.slice/session-" + native + ".scope/cgroup.procs")
		if err != nil {
			return nil, err
		}
		if scopes = found; len(scopes) > 0 {
			break
		}
	}
	var pids []int
	for _, f := range scopes {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("list the session's processes: %w", err)
		}
		for _, line := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(line); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids, nil
}
