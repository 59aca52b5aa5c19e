package guest

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/deskyard/deskyard"
	"golang.org/x/net/dns/dnsmessage"
)

// ran is one program that a step ran.
type ran struct {
	line  []string
	stdin string
}

// answers is a Runner that says what programs would, by the program's name.
type answers struct {
	by  map[string]Outcome
	ran []ran
}

func (a *answers) Run(_ context.Context, stdin, name string, args ...string) (string, int, error) {
	a.ran = append(a.ran, ran{append([]string{name}, args...), stdin})
	o := a.by[name]
	return o.Output, o.ExitCode, nil
}

// nameserver answers for the controllers of corp.example and for nothing else.
func nameserver(t *testing.T) *net.Resolver {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1500)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			var q dnsmessage.Message
			if q.Unpack(b[:n]) != nil || len(q.Questions) != 1 {
				continue
			}
			a := dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID, Response: true, RCode: dnsmessage.RCodeNameError}, Questions: q.Questions}
			if q.Questions[0].Name.String() == "_ldap._tcp.dc._msdcs.corp.example." {
				a.RCode = dnsmessage.RCodeSuccess
				a.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Questions[0].Name, Class: dnsmessage.ClassINET},
					Body:   &dnsmessage.SRVResource{Port: 389, Target: dnsmessage.MustNewName("dc1.corp.example.")},
				}}
			}
			if packed, err := a.Pack(); err == nil {
				_, _ = c.WriteTo(packed, from) // a lost answer fails the test by its time
			}
		}
	}()
	t.Cleanup(func() { _ = c.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", c.LocalAddr().String())
	}}
}

func domainStep(settings string) deskyard.Step {
	return deskyard.Step{ID: "d1", Kind: deskyard.StepDomain, Settings: json.RawMessage(settings), Secrets: json.RawMessage(`{"password":"Join-pass-1"}`)}
}

func TestADomainIsJoinedByTheSuffixOfTheAccountWhereNoneIsNamed(t *testing.T) {
	r := &answers{}
	o := DomainStep{Runner: r, Resolver: nameserver(t)}.Run(t.Context(), domainStep(`{"name":"","ouPath":"OU=Desks,DC=corp,DC=example","user":"joiner@corp.example","restart":"true","options":"3"}`))
	if o.Code != "" {
		t.Fatalf("%+v", o)
	}
	if len(r.ran) != 3 || !strings.Contains(strings.Join(r.ran[0].line, " "), "rdns = false") || r.ran[1].line[0] != "adcli" {
		t.Fatalf("ran %v", r.ran)
	}
	for _, want := range []string{"--domain=corp.example", "--domain-realm=CORP.EXAMPLE", "--login-user=joiner@CORP.EXAMPLE", "--domain-ou=OU=Desks,DC=corp,DC=example", "--stdin-password"} {
		if !slices.Contains(r.ran[1].line, want) {
			t.Errorf("adcli was not given %s: %v", want, r.ran[1].line)
		}
	}
	if r.ran[1].stdin != "Join-pass-1" {
		t.Error("the password did not come over standard input")
	}
	for _, one := range r.ran {
		if strings.Contains(strings.Join(one.line, " "), "Join-pass-1") {
			t.Errorf("the password stands in an argument of %s", one.line[0])
		}
	}
	if !strings.Contains(r.ran[2].stdin, "ad_domain = corp.example\nkrb5_realm = CORP.EXAMPLE\n") {
		t.Errorf("SSSD is configured for another domain: %s", r.ran[2].stdin)
	}
}

func TestADomainThatDNSDoesNotKnowIsSaidBeforeAnythingIsTried(t *testing.T) {
	r := &answers{}
	o := DomainStep{Runner: r, Resolver: nameserver(t)}.Run(t.Context(), domainStep(`{"name":"other.example","user":"OTHER\\joiner"}`))
	if o.Code != "DomainNotFound" || !strings.Contains(o.Message, "other.example") || len(r.ran) != 0 {
		t.Fatalf("%+v after %v", o, r.ran)
	}
}

func TestANameServerThatIsKnownLateIsWaitedFor(t *testing.T) {
	there, dials := nameserver(t), 0
	late := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials++; dials <= 4 {
			return nil, errors.New("connection refused")
		}
		return there.Dial(ctx, network, address)
	}}
	o := DomainStep{Runner: &answers{}, Resolver: late}.Run(t.Context(), domainStep(`{"name":"corp.example","user":"joiner"}`))
	if o.Code != "" || dials <= 4 {
		t.Errorf("after %d calls: %+v", dials, o)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if o := (DomainStep{Runner: &answers{}, Resolver: late}).Run(ctx, domainStep(`{"name":"corp.example","user":"joiner"}`)); o.Code != "DomainNotReachable" {
		t.Errorf("without an answer in time: %+v", o)
	}
}

func TestSettingsThatCouldBecomeOptionsAreRefused(t *testing.T) {
	for name, settings := range map[string]string{
		"user is an option": `{"name":"corp.example","user":"--login-ccache=/tmp/x"}`,
		"domain with space": `{"name":"corp.example x","user":"joiner"}`,
		"flat domain":       `{"name":"CORP","user":"joiner"}`,
		"ou over two lines": `{"name":"corp.example","user":"joiner","ouPath":"OU=a\nOU=b"}`,
		"no object":         `[]`,
	} {
		r := &answers{}
		if o := (DomainStep{Runner: r, Resolver: nameserver(t)}).Run(t.Context(), domainStep(settings)); o.Code != "InvalidSettings" || len(r.ran) != 0 {
			t.Errorf("%s: %+v after %v", name, o, r.ran)
		}
	}
}

func TestAJoinThatFailsSaysWhyWithoutThePassword(t *testing.T) {
	for words, code := range map[string]string{
		"adcli: couldn't connect to corp.example domain: Couldn't authenticate as: joiner@CORP.EXAMPLE: Preauthentication failed":                                                                              "LogonFailure",
		"adcli: couldn't connect to corp.example domain: Couldn't authenticate as: x@CORP.EXAMPLE: Client 'x@CORP.EXAMPLE' not found in Kerberos database":                                                     "LogonFailure",
		"adcli: joining domain corp.example failed: Couldn't authenticate as: x: Clients credentials have been revoked":                                                                                        "LogonFailure",
		"adcli: joining domain corp.example failed: The organizational unit does not exist: OU=Desks":                                                                                                          "OrganizationalUnitNotFound",
		"adcli: joining domain corp.example failed: Insufficient permissions to modify computer account: CN=h":                                                                                                 "AccessDenied",
		"adcli: couldn't connect to corp.example domain: Couldn't authenticate as: joiner@CORP.EXAMPLE: Cannot contact any KDC for realm 'CORP.EXAMPLE'":                                                       "DomainNotReachable",
		"adcli: couldn't connect to corp.example domain: Couldn't authenticate as: joiner@CORP.EXAMPLE: Clock skew too great":                                                                                  "ClockSkew",
		"adcli: couldn't connect to corp.example domain: Couldn't authenticate as: locked@CORP.EXAMPLE: Client's credentials have been revoked":                                                                "LogonFailure",
		"adcli: joining domain corp.example failed: Couldn't lookup computer container: garbage: 00002032: ldb_search: invalid basedn '(null)'":                                                                "OrganizationalUnitNotFound",
		"adcli: joining domain corp.example failed: Cannot set computer password: Access denied: Not permitted to change password":                                                                             "AccessDenied",
		"adcli: couldn't connect to corp.example domain: Couldn't authenticate to active directory: SASL(-1): generic failure: GSSAPI Error: Unspecified GSS failure. (Server not found in Kerberos database)": "DomainNotReachable",
		"adcli: something of which nothing is known": "JoinFailed",
	} {
		r := &answers{by: map[string]Outcome{"adcli": {ExitCode: 5, Output: "trying Join-pass-1\n" + words}}}
		o := DomainStep{Runner: r, Resolver: nameserver(t)}.Run(t.Context(), domainStep(`{"name":"corp.example","ouPath":"OU=Desks","user":"joiner"}`))
		if o.Code != code || o.Message == "" {
			t.Errorf("%s: got %s, want %s", words, o.Code, code)
		}
		if strings.Contains(o.Output+o.Message, "Join-pass-1") {
			t.Errorf("%s: the password is told", words)
		}
		if len(r.ran) != 2 {
			t.Errorf("%s: went on after the failure: %v", words, r.ran)
		}
	}
}

func TestADomainIsLeftInTheNameOfTheJoinAccountAndItsKeysForgotten(t *testing.T) {
	for _, account := range []string{`"user":"joiner@corp.example"`, `"user":"CORP\\joiner","domain":"corp.example"`} {
		for words, left := range map[string]bool{
			"": true,
			"adcli: deleting SH-0 in corp.example domain failed: No computer account for SH-0$ exists":                true,
			"adcli: deleting SH-0 in corp.example domain failed: Insufficient permissions to delete computer account": false,
		} {
			r := &answers{by: map[string]Outcome{"adcli": {Output: words, ExitCode: len(words)}}}
			o := ReleaseStep{Runner: r}.Run(t.Context(), deskyard.Step{ID: "r1", Secrets: json.RawMessage("{" + account + `,"password":"Join-pass-1"}`)})
			if (o.Code == "") != left {
				t.Errorf("%s, %q: %+v", account, words, o)
			}
			if !slices.Contains(r.ran[0].line, "--login-user=joiner@CORP.EXAMPLE") {
				t.Errorf("%s: adcli was not given the account's principal: %v", account, r.ran[0].line)
			}
			if forgotten := len(r.ran) == 2 && strings.Contains(strings.Join(r.ran[1].line, " "), "/etc/krb5.keytab"); forgotten != left {
				t.Errorf("%s, %q: keys forgotten: %v", account, words, forgotten)
			}
		}
	}
}

func FuzzDomainSettings(f *testing.F) {
	f.Add(`{"name":"corp.example","user":"joiner","ouPath":"OU=a"}`)
	f.Add(`{"user":"joiner@corp.example"}`)
	f.Fuzz(func(t *testing.T, settings string) {
		r := &answers{}
		nobody := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, context.Canceled }}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // it would be tried again
		o := DomainStep{Runner: r, Resolver: nobody}.Run(ctx, domainStep(settings))
		if o.Code == "" || len(r.ran) != 0 {
			t.Fatalf("joined without DNS: %+v, %v", o, r.ran)
		}
	})
}
