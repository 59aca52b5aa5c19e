package federation

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/google/uuid"
)

// LDAPOptions say which directory to ask. URL and Base are required.
type LDAPOptions struct {
	URL          string         // ldaps://host[:port], or ldap:// for StartTLS; never in clear
	Base         string         // distinguished name to search below
	BindDN       string         // account to search with: a distinguished name, or in Active Directory name@domain
	BindPassword string         //
	Roots        *x509.CertPool // who may sign the directory's certificate; nil: the system's
	Timeout      time.Duration  // of one question; 0: 10 seconds
}

// LDAP asks an LDAP directory. It opens a connection for each question: a password is
// checked by binding with it, which changes whose the connection is.
type LDAP struct{ o LDAPOptions }

// maxGroups bounds the groups read of a person; a token names at most 200.
const maxGroups = 1000

// NewLDAP checks the options; it does not connect.
func NewLDAP(o LDAPOptions) (*LDAP, error) {
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || u.Scheme != "ldaps" && u.Scheme != "ldap" || u.Hostname() == "":
		return nil, fmt.Errorf("use LDAP directory %q: its URL is not of the form ldaps://HOST[:PORT]", o.URL)
	case o.Base == "":
		return nil, fmt.Errorf("use LDAP directory %s: no base to search below is given", o.URL)
	}
	if _, err := ldap.ParseDN(o.Base); err != nil {
		return nil, fmt.Errorf("use LDAP directory %s: base %q: %w", o.URL, o.Base, err)
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	return &LDAP{o}, nil
}

// Verify finds the person of that name (a user principal name, a mail address, or a
// login name) and checks the password by binding with it.
func (l *LDAP) Verify(ctx context.Context, name, password string) (Person, error) {
	if password == "" {
		// A bind without a password is an anonymous one, and succeeds (RFC 4513, 5.1.2).
		return Person{}, ErrRefused
	}
	conn, err := l.open(ctx)
	if err != nil {
		return Person{}, err
	}
	defer l.close(conn)
	entry, err := l.find(conn, byName(name))
	if err != nil {
		return Person{}, err
	}
	p, err := l.person(conn, entry)
	if err != nil {
		return Person{}, err
	}
	if err := conn.Bind(entry.DN, password); err != nil {
		if ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) || ldap.IsErrorWithCode(err, ldap.LDAPResultInsufficientAccessRights) {
			return Person{}, &Refusal{reason(err)}
		}
		return Person{}, fmt.Errorf("bind as %s: %w", entry.DN, err)
	}
	return p, nil
}

// Person reads again what is known of a person.
func (l *LDAP) Person(ctx context.Context, id string) (Person, error) {
	filter, err := byID(id)
	if err != nil {
		return Person{}, err
	}
	conn, err := l.open(ctx)
	if err != nil {
		return Person{}, err
	}
	defer l.close(conn)
	entry, err := l.find(conn, filter)
	if err != nil {
		return Person{}, err
	}
	return l.person(conn, entry)
}

func (l *LDAP) open(ctx context.Context) (*ldap.Conn, error) {
	u, err := url.Parse(l.o.URL)
	if err != nil {
		return nil, fmt.Errorf("read the directory's URL: %w", err)
	}
	config := &tls.Config{ServerName: u.Hostname(), RootCAs: l.o.Roots, MinVersion: tls.VersionTLS12}
	deadline := time.Now().Add(l.o.Timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	conn, err := ldap.DialURL(l.o.URL, ldap.DialWithTLSConfig(config), ldap.DialWithDialer(&net.Dialer{Deadline: deadline}))
	if err != nil {
		return nil, fmt.Errorf("reach LDAP directory %s: %w", l.o.URL, err)
	}
	conn.SetTimeout(l.o.Timeout)
	if u.Scheme == "ldap" {
		if err := conn.StartTLS(config); err != nil {
			return nil, errors.Join(fmt.Errorf("start TLS with LDAP directory %s: %w", l.o.URL, err), conn.Close())
		}
	}
	if l.o.BindDN != "" {
		if err := conn.Bind(l.o.BindDN, l.o.BindPassword); err != nil {
			return nil, errors.Join(fmt.Errorf("sign in to LDAP directory %s as %s: %w", l.o.URL, l.o.BindDN, err), conn.Close())
		}
	}
	return conn, nil
}

// close ends a connection whose work is done: an error of its end concerns nobody.
func (l *LDAP) close(conn *ldap.Conn) { _ = conn.Close() }

// byName finds accounts of persons by whatever people type. Active Directory calls the
// login name sAMAccountName, others uid.
func byName(name string) string {
	full := ldap.EscapeFilter(name)
	login, _, _ := strings.Cut(name, "@")
	short := ldap.EscapeFilter(login)
	return "(&(|(objectClass=person)(objectClass=user))(!(objectClass=computer))(|(userPrincipalName=" + full + ")(mail=" + full + ")(sAMAccountName=" + short + ")(uid=" + short + ")))"
}

// byID finds an account by its GUID: Active Directory keeps it in binary.
func byID(id string) (string, error) {
	g, err := uuid.Parse(id)
	if err != nil {
		return "", fmt.Errorf("find %q in the directory: %w", id, err)
	}
	var binary strings.Builder
	for _, b := range mixed(g) {
		binary.WriteString(`\` + hex.EncodeToString([]byte{b}))
	}
	return "(|(objectGUID=" + binary.String() + ")(entryUUID=" + g.String() + "))", nil
}

// mixed turns a GUID from network order to Microsoft's, and back.
func mixed(g uuid.UUID) uuid.UUID {
	g[0], g[1], g[2], g[3] = g[3], g[2], g[1], g[0]
	g[4], g[5] = g[5], g[4]
	g[6], g[7] = g[7], g[6]
	return g
}

var personAttributes = []string{"userPrincipalName", "mail", "displayName", "cn", "objectGUID", "entryUUID", "userAccountControl", "sAMAccountName", "uid"}

// find gives the one entry; a name that fits two is nobody's.
func (l *LDAP) find(conn *ldap.Conn, filter string) (*ldap.Entry, error) {
	seconds := int(l.o.Timeout.Seconds())
	found, err := conn.Search(ldap.NewSearchRequest(l.o.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, seconds, false, filter, personAttributes, nil))
	if err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
		return nil, fmt.Errorf("search LDAP directory %s: %w", l.o.URL, err)
	}
	if len(found.Entries) != 1 {
		return nil, ErrUnknown
	}
	return found.Entries[0], nil
}

// person reads an entry and the groups it is in.
func (l *LDAP) person(conn *ldap.Conn, e *ldap.Entry) (Person, error) {
	id, ok := idOf(e)
	if !ok {
		return Person{}, fmt.Errorf("read %s: it has neither objectGUID nor entryUUID", e.DN)
	}
	p := Person{ID: id, UPN: first(e, "userPrincipalName", "mail"), DisplayName: first(e, "displayName", "cn")}
	if p.UPN == "" {
		login := first(e, "sAMAccountName", "uid")
		domain := domainOf(l.o.Base)
		if login == "" || domain == "" {
			return Person{}, fmt.Errorf("read %s: it has no user principal name, mail address or login name", e.DN)
		}
		p.UPN = login + "@" + domain
	}
	const accountDisable = 0x2 // of userAccountControl ([MS-ADTS] 2.2.16)
	var control int
	if text := e.GetAttributeValue("userAccountControl"); text != "" {
		if _, err := fmt.Sscan(text, &control); err != nil {
			return Person{}, fmt.Errorf("read userAccountControl of %s: %w", e.DN, err)
		}
	}
	p.Disabled = control&accountDisable != 0
	var err error
	p.Groups, err = l.groups(conn, e)
	return p, err
}

// groups finds the groups of an entry: through groups in Active Directory, direct ones
// elsewhere.
func (l *LDAP) groups(conn *ldap.Conn, e *ldap.Entry) ([]Group, error) {
	dn := ldap.EscapeFilter(e.DN)
	filter := "(|(member=" + dn + ")(uniqueMember=" + dn + "))"
	if e.GetAttributeValue("objectGUID") != "" {
		const inChain = "1.2.840.113556.1.4.1941" // LDAP_MATCHING_RULE_IN_CHAIN
		filter = "(member:" + inChain + ":=" + dn + ")"
	}
	found, err := conn.Search(ldap.NewSearchRequest(l.o.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, maxGroups, int(l.o.Timeout.Seconds()), false,
		filter, []string{"cn", "objectGUID", "entryUUID"}, nil))
	if err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) {
		return nil, fmt.Errorf("find the groups of %s: %w", e.DN, err)
	}
	var groups []Group
	for _, g := range found.Entries {
		if id, ok := idOf(g); ok {
			groups = append(groups, Group{ID: id, Name: g.GetAttributeValue("cn")})
		}
	}
	return groups, nil
}

func idOf(e *ldap.Entry) (string, bool) {
	if raw := e.GetRawAttributeValue("objectGUID"); len(raw) == 16 {
		return mixed(uuid.UUID(raw)).String(), true
	}
	g, err := uuid.Parse(e.GetAttributeValue("entryUUID"))
	return g.String(), err == nil
}

func first(e *ldap.Entry, names ...string) string {
	for _, n := range names {
		if v := e.GetAttributeValue(n); v != "" {
			return v
		}
	}
	return ""
}

// domainOf is the DNS name that the DC parts of a distinguished name make.
func domainOf(base string) string {
	dn, err := ldap.ParseDN(base)
	if err != nil {
		return ""
	}
	var parts []string
	for _, r := range dn.RDNs {
		if a := r.Attributes[0]; strings.EqualFold(a.Type, "dc") {
			parts = append(parts, strings.ToLower(a.Value))
		}
	}
	return strings.Join(parts, ".")
}

// reasons are by the number that Active Directory puts into its message ("data 533").
var reasons = map[string]Reason{
	"52e": WrongPassword, "530": WrongTime, "531": WrongMachine, "532": PasswordExpired, "533": Disabled,
	"569": NotGranted, "701": Expired, "773": MustChange, "775": Locked,
}

// reason is why a bind failed.
func reason(err error) Reason {
	_, data, _ := strings.Cut(err.Error(), "data ")
	if why, known := reasons[data[:min(len(data), 3)]]; known {
		return why
	}
	return WrongPassword
}
