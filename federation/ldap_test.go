package federation_test

import (
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jimlambrt/gldap"

	"github.com/deskyard/deskyard/federation"
)

const (
	annDN   = "CN=Ann Lee,OU=Staff,DC=corp,DC=test"
	annID   = "04030201-0605-0807-090a-0b0c0d0e0f10" // of the bytes below
	annGUID = "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"
	reader  = "CN=reader,DC=corp,DC=test"
)

// server is an LDAP server that answers as Active Directory does for one person.
type server struct {
	mu      sync.Mutex
	filters []string
	control string // userAccountControl
	extra   bool   // a second entry fits every name
}

func (s *server) search(w *gldap.ResponseWriter, r *gldap.Request) {
	done := r.NewSearchDoneResponse(gldap.WithResponseCode(gldap.ResultSuccess))
	defer func() { _ = w.Write(done) }() // the client is gone if it fails
	m, err := r.GetSearchMessage()
	if err != nil {
		done.SetResultCode(gldap.ResultOperationsError)
		return
	}
	s.mu.Lock()
	s.filters = append(s.filters, m.Filter)
	control, extra := s.control, s.extra
	s.mu.Unlock()
	entry := func(dn string, attributes map[string][]string) {
		_ = w.Write(r.NewSearchResponseEntry(dn, gldap.WithAttributes(attributes)))
	}
	switch {
	case strings.Contains(m.Filter, "1.2.840.113556.1.4.1941"):
		entry("CN=Finance,DC=corp,DC=test", map[string][]string{"cn": {"Finance"}, "objectGUID": {"ffffffffffffffff"}})
	case strings.Contains(m.Filter, "(sAMAccountName=ann)"), strings.Contains(m.Filter, "objectGUID="+annGUID[:8]):
		entry(annDN, map[string][]string{"userPrincipalName": {"ann@corp.test"}, "displayName": {"Ann Lee"}, "objectGUID": {annGUID}, "userAccountControl": {control}})
		if extra {
			entry("CN=Ann Two,DC=corp,DC=test", map[string][]string{"objectGUID": {"eeeeeeeeeeeeeeee"}})
		}
	}
}

func (s *server) bind(w *gldap.ResponseWriter, r *gldap.Request) {
	answer := r.NewBindResponse(gldap.WithResponseCode(gldap.ResultInvalidCredentials))
	defer func() { _ = w.Write(answer) }() // the client is gone if it fails
	m, err := r.GetSimpleBindMessage()
	if err != nil {
		return
	}
	switch {
	case m.Password == "", m.UserName == reader && m.Password == "reading", m.UserName == annDN && m.Password == "right":
		answer.SetResultCode(gldap.ResultSuccess)
	default:
		answer.SetDiagnosticMessage("80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data 775, v4563")
	}
}

// start runs the server and gives options that reach it.
func (s *server) start(t *testing.T) federation.LDAPOptions {
	t.Helper()
	mux, err := gldap.NewMux()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(mux.Bind(s.bind), mux.Search(s.search)); err != nil {
		t.Fatal(err)
	}
	srv, err := gldap.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Router(mux); err != nil {
		t.Fatal(err)
	}
	// A server of the standard library has a certificate for 127.0.0.1.
	tls := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(tls.Close)
	free, err := net.Listen("tcp", "127.0.0.1:0") // the server takes no listener, only an address
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(address, gldap.WithTLSConfig(tls.TLS)) }()
	t.Cleanup(func() {
		if err := errors.Join(srv.Stop(), <-ended); err != nil {
			t.Error(err)
		}
	})
	deadline := time.Now().Add(10 * time.Second)
	for !srv.Ready() {
		if time.Now().After(deadline) {
			t.Fatal("the LDAP server does not start")
		}
		runtime.Gosched() // it tells its readiness by no other means
	}
	roots := x509.NewCertPool()
	roots.AddCert(tls.Certificate())
	return federation.LDAPOptions{URL: "ldaps://" + address, Base: "DC=corp,DC=test", BindDN: reader, BindPassword: "reading", Roots: roots}
}

func open(t *testing.T, o federation.LDAPOptions) *federation.LDAP {
	t.Helper()
	l, err := federation.NewLDAP(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAPersonOfTheDirectoryIsVerifiedByBinding(t *testing.T) {
	s := &server{control: "512"}
	l := open(t, s.start(t))
	for _, name := range []string{"ann@corp.test", "ann"} {
		p, err := l.Verify(t.Context(), name, "right")
		if err != nil || p.ID != annID || p.UPN != "ann@corp.test" || p.DisplayName != "Ann Lee" || p.Disabled {
			t.Fatalf("%s: %+v, %v", name, p, err)
		}
		if len(p.Groups) != 1 || p.Groups[0].Name != "Finance" {
			t.Errorf("groups %+v", p.Groups)
		}
	}
	p, err := l.Person(t.Context(), annID)
	if err != nil || p.UPN != "ann@corp.test" {
		t.Errorf("by id: %+v, %v", p, err)
	}
}

func TestWhoCannotSignInIsToldByTheDirectorysReason(t *testing.T) {
	s := &server{control: "512"}
	l := open(t, s.start(t))
	if _, err := l.Verify(t.Context(), "ann", "wrong"); !errors.Is(err, federation.ErrRefused) || !strings.Contains(err.Error(), "the account is locked") {
		t.Errorf("a wrong password: %v", err)
	}
	if _, err := l.Verify(t.Context(), "ann", "wrong"); !errors.As(err, new(*federation.Refusal)) {
		t.Errorf("without its reason: %v", err)
	}
	if _, err := l.Verify(t.Context(), "ann", ""); !errors.Is(err, federation.ErrRefused) {
		t.Errorf("no password, which binds as nobody: %v", err)
	}
	if _, err := l.Verify(t.Context(), "bob", "right"); !errors.Is(err, federation.ErrUnknown) {
		t.Errorf("nobody: %v", err)
	}
	s.mu.Lock()
	s.control, s.extra = "514", true
	s.mu.Unlock()
	if _, err := l.Verify(t.Context(), "ann", "right"); !errors.Is(err, federation.ErrUnknown) {
		t.Errorf("a name of two: %v", err)
	}
	s.mu.Lock()
	s.extra = false
	s.mu.Unlock()
	if p, err := l.Verify(t.Context(), "ann", "right"); err != nil || !p.Disabled {
		t.Errorf("a disabled account: %+v, %v", p, err)
	}
}

func TestANameIsNoFilter(t *testing.T) {
	s := &server{control: "512"}
	l := open(t, s.start(t))
	if _, err := l.Verify(t.Context(), "x)(|(cn=*", "right"); !errors.Is(err, federation.ErrUnknown) {
		t.Errorf("got %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.filters {
		if strings.Contains(f, "(cn=*") {
			t.Errorf("the name became a part of the filter: %s", f)
		}
	}
}

func TestADirectoryIsNotAskedInClearNorBelievedUnsigned(t *testing.T) {
	s := &server{control: "512"}
	o := s.start(t)
	o.Roots = x509.NewCertPool()
	if _, err := open(t, o).Verify(t.Context(), "ann", "right"); err == nil || errors.Is(err, federation.ErrRefused) {
		t.Errorf("a certificate of nobody's: %v", err)
	}
	for _, url := range []string{"", "http://x", "ldapi:///x", "ldaps://"} {
		if _, err := federation.NewLDAP(federation.LDAPOptions{URL: url, Base: "DC=x"}); err == nil {
			t.Errorf("%q is taken", url)
		}
	}
}
