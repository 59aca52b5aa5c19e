package guest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
)

// DomainStep joins the machine to an Active Directory domain, as the extension
// JsonADDomainExtension does on Windows: the computer's account in the organizational
// unit asked for, sign-in of the domain's users by SSSD, homes made at first sign-in.
type DomainStep struct {
	Runner   Runner
	Resolver *net.Resolver // nil: the system's
}

// domainSettings are JsonADDomainExtension's; Microsoft's templates write ouPath both ways.
type domainSettings struct {
	Name string `json:"name"`
	OU   string `json:"ouPath"`
	User string `json:"user"`
}

type domainSecrets struct {
	Password string `json:"password"`
}

var (
	domainForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+$`)
	ouForm     = regexp.MustCompile(`^[^\x00-\x1f]{1,1000}$`)
	joinerForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_. $-]{0,63}(@[A-Za-z0-9.-]{1,255})?$`)
)

// Times of a join: a wrong password must be told in seconds.
const (
	lookupTime  = 10 * time.Second
	lookupEvery = 500 * time.Millisecond
	joinTime    = 2 * time.Minute
)

// Run joins.
func (d DomainStep) Run(ctx context.Context, s deskyard.Step) Outcome {
	var settings domainSettings
	var secrets domainSecrets
	if err := decodeStep(s, &settings, &secrets); err != nil {
		return Failed("InvalidSettings", "%v", err)
	}
	user, domain := joiner(settings)
	switch {
	case !domainForm.MatchString(domain):
		return Failed("InvalidSettings", "The domain %q is not a DNS name such as example.org. Name it, or give the join account as a user principal name.", domain)
	case !joinerForm.MatchString(user):
		return Failed("InvalidSettings", "The join account %q is not a user name of the domain.", user)
	case settings.OU != "" && !ouForm.MatchString(settings.OU):
		return Failed("InvalidSettings", "The organizational unit %q is not a distinguished name.", settings.OU)
	case secrets.Password == "" || strings.ContainsAny(secrets.Password, "\r\n\x00"):
		return Failed("InvalidSettings", "The join account's password is missing or has a line break in it.")
	}
	if o := d.reach(ctx, domain); o.Code != "" {
		return o
	}
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	if o := shellOutcome(ctx, d.Runner, "", kerberosScript, strings.ToUpper(domain)); o.Code != "" {
		return o
	}
	o := d.join(ctx, domain, user, settings.OU, secrets.Password)
	o.Output, o.Message = strike(o.Output, secrets.Password), strike(o.Message, secrets.Password)
	if o.Code != "" {
		return o
	}
	configured := shellOutcome(ctx, d.Runner, sssdConfig(domain), domainScript)
	configured.Output = o.Output + configured.Output
	return configured
}

// joiner splits the join account: its own name, and the domain where none is named.
// DOMAIN\user names the account alone, for that DOMAIN is a NetBIOS name.
func joiner(s domainSettings) (user, domain string) {
	user, domain = s.User, s.Name
	if _, name, ok := strings.Cut(user, `\`); ok {
		user = name
	}
	if _, suffix, ok := strings.Cut(user, "@"); ok && domain == "" {
		domain = suffix
	}
	return user, strings.ToLower(domain)
}

// reach looks for the domain's controllers in DNS before anything is tried. A machine
// that has just booted may learn its name servers this very moment, and the resolver
// reads of them seconds later: only an answer ends the search early.
func (d DomainStep) reach(ctx context.Context, domain string) Outcome {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	r := d.Resolver
	if r == nil {
		r = net.DefaultResolver
	}
	again := time.NewTicker(lookupEvery)
	defer again.Stop()
	var last error
	for {
		_, hosts, err := r.LookupSRV(ctx, "ldap", "tcp", "dc._msdcs."+domain)
		var missing *net.DNSError
		switch {
		case err == nil && len(hosts) > 0:
			return Outcome{}
		case errors.As(err, &missing) && missing.IsNotFound, err == nil:
			return Failed("DomainNotFound", "The domain %s has no controllers in the DNS that the machine asks. Check the domain's name and the virtual network's DNS servers.", domain)
		case last == nil || ctx.Err() == nil:
			last = err // what ends with the time tells less
		}
		select {
		case <-ctx.Done():
			return Failed("DomainNotReachable", "The machine's DNS does not answer for the domain %s: %v. Check the virtual network's DNS servers.", domain, last)
		case <-again.C:
		}
	}
}

// join makes the computer's account.
func (d DomainStep) join(ctx context.Context, domain, user, ou, password string) Outcome {
	user = principal(user, domain)
	args := []string{"join", "--domain=" + domain, "--domain-realm=" + strings.ToUpper(domain), "--login-user=" + user, "--stdin-password",
		"--os-name=Linux", "--show-details"}
	if ou != "" {
		args = append(args, "--domain-ou="+ou)
	}
	// Without it the computer's account says that its DNS name is the bare host name.
	if host, err := os.Hostname(); err == nil {
		host, _, _ = strings.Cut(host, ".")
		args = append(args, "--host-fqdn="+strings.ToLower(host)+"."+domain)
	}
	out, exit, err := d.Runner.Run(ctx, password, "adcli", args...)
	switch {
	case err != nil:
		return Outcome{ExitCode: exit, Output: out, Code: "JoinFailed", Message: fmt.Sprintf("The join of %s could not be tried: %v. The image needs adcli and sssd.", domain, err)}
	case exit != 0:
		code, message := joinFailure(out, domain, user, ou)
		return Outcome{ExitCode: exit, Output: out, Code: code, Message: message}
	}
	return Outcome{Output: out}
}

// principal is the account's Kerberos name: realms are upper case. A suffix other than
// the domain's stays as it is.
func principal(user, domain string) string {
	name, suffix, named := strings.Cut(user, "@")
	if !named || strings.EqualFold(suffix, domain) {
		return name + "@" + strings.ToUpper(domain)
	}
	return user
}

// joinFailure says in plain words what adcli said in its own.
func joinFailure(out, domain, user, ou string) (code, message string) {
	said := strings.ReplaceAll(strings.ToLower(out), "client's", "clients")
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(said, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("preauthentication failed", "invalid credentials", "password incorrect", "decrypt integrity"):
		return "LogonFailure", "The password of " + user + " is wrong."
	// The controller, not the account: its names are not registered, or reverse DNS
	// gives it another one.
	case has("server not found in kerberos database"):
		return "DomainNotReachable", "The domain " + domain + " does not know its controller by the name that DNS gives. Check the controllers' records and service principal names."
	case has("client not found", "not found in kerberos database"):
		return "LogonFailure", "The domain " + domain + " has no account " + user + "."
	case has("password has expired", "password expired"):
		return "LogonFailure", "The password of " + user + " has expired."
	case has("clients credentials have been revoked"):
		return "LogonFailure", "The account " + user + " is locked or disabled."
	case has("organizational unit", "no such object", "ou path", "couldn't lookup computer container"):
		return "OrganizationalUnitNotFound", "The organizational unit " + ou + " does not exist in " + domain + "."
	case has("insufficient permissions", "insufficient access", "access denied"):
		return "AccessDenied", "The account " + user + " may not join computers" + inOU(ou) + "."
	case has("clock skew"):
		return "ClockSkew", "The machine's clock is more than five minutes away from the domain's."
	// The last of the causes: adcli says "couldn't connect to … domain" before all of them.
	case has("cannot contact any kdc", "couldn't connect", "can't contact ldap"):
		return "DomainNotReachable", "No controller of " + domain + " answers. Check the network's rules and the controllers."
	}
	return "JoinFailed", "The domain " + domain + " did not accept the machine: " + lastLine(out)
}

func inOU(ou string) string {
	if ou == "" {
		return ""
	}
	return " to " + ou
}

// sssdConfig is SSSD's configuration for the domain. The stack of the session host
// asks InfoPipe ([ifp]) for the user principal names of those who have sessions.
func sssdConfig(domain string) string {
	return fmt.Sprintf(`[sssd]
services = nss, pam
domains = %[1]s

[ifp]
allowed_uids = 0
user_attributes = +userPrincipalName

[domain/%[1]s]
id_provider = ad
access_provider = permit
ad_domain = %[1]s
krb5_realm = %[2]s
cache_credentials = true
krb5_store_password_if_offline = true
use_fully_qualified_names = false
fallback_homedir = /home/%%u
default_shell = /bin/bash
ldap_id_mapping = true
ad_gpo_access_control = disabled
dyndns_update = false
`, domain, strings.ToUpper(domain))
}

// kerberosScript tells Kerberos the realm, before the join: names that reverse DNS has
// for a controller are not the ones it has keys for, and where nobody answers for them
// the join would take 20 seconds longer.
const kerberosScript = `set -eu
umask 022
printf '[libdefaults]\n\tdefault_realm = %s\n\tdns_lookup_kdc = true\n\trdns = false\n' "$1" >/etc/krb5.conf.new
mv /etc/krb5.conf.new /etc/krb5.conf
`

// domainScript takes the configuration into use. What the image has done already is
// left out: it takes ten seconds under emulation.
const domainScript = `set -eu
umask 077
mkdir -p /etc/sssd
cat >/etc/sssd/sssd.conf.new
if [ -x /usr/libexec/sssd/sssd_ifp ]; then sed -i 's/^services = nss, pam$/&, ifp/' /etc/sssd/sssd.conf.new; fi
mv /etc/sssd/sssd.conf.new /etc/sssd/sssd.conf
grep -qs pam_sss /etc/pam.d/common-auth && grep -qs pam_mkhomedir /etc/pam.d/common-session ||
	pam-auth-update --package --enable mkhomedir sss
systemctl --quiet is-enabled sssd 2>/dev/null || systemctl enable sssd >/dev/null 2>&1 || true
systemctl restart sssd
`

// ReleaseStep takes the machine out of its directories before it is removed.
type ReleaseStep struct{ Runner Runner }

// forgetScript takes the domain's keys and configuration off the machine.
const forgetScript = `systemctl stop sssd || true
rm -f /etc/sssd/sssd.conf /etc/krb5.keytab
`

// releaseScript deletes the computer's account with the machine's own keys. A domain
// lets computers do so only where that was delegated to them (SELF on the
// organizational unit); elsewhere it needs an account, and the refusal is told.
const releaseScript = `set -eu
domain=$(sed -n 's/^ad_domain *= *//p' /etc/sssd/sssd.conf 2>/dev/null | head -n 1)
[ -n "$domain" ] || exit 0
cache=$(mktemp /run/deskyard-release.XXXXXX)
trap 'rm -f "$cache"' EXIT
kinit -k -c "FILE:$cache" "$(hostname -s | tr a-z A-Z | cut -c 1-15)\$"
adcli delete-computer --domain="$domain" --login-ccache="FILE:$cache"
` + forgetScript

// Run leaves.
func (r ReleaseStep) Run(ctx context.Context, s deskyard.Step) Outcome {
	var secrets struct {
		User     string `json:"user"`
		Password string `json:"password"`
		Domain   string `json:"domain"`
	}
	if err := decodeStep(s, nil, &secrets); err != nil {
		return Failed("InvalidSettings", "%v", err)
	}
	if secrets.Password == "" {
		return shellOutcome(ctx, r.Runner, "", releaseScript)
	}
	user, domain := joiner(domainSettings{Name: secrets.Domain, User: secrets.User})
	if !domainForm.MatchString(domain) || !joinerForm.MatchString(user) {
		return Failed("InvalidSettings", "The domain or the account to leave it with is not well formed.")
	}
	out, exit, err := r.Runner.Run(ctx, secrets.Password, "adcli", "delete-computer", "--domain="+domain,
		"--domain-realm="+strings.ToUpper(domain), "--login-user="+principal(user, domain), "--stdin-password")
	out = strike(out, secrets.Password)
	// An account that is gone already is what was asked for: a removal is repeated after
	// the service was killed in the middle.
	if gone := strings.Contains(out, "No computer account for"); err != nil || exit != 0 && !gone {
		return Outcome{ExitCode: exit, Output: out, Code: "LeaveFailed", Message: "The computer's account stays in " + domain + ": " + lastLine(out)}
	}
	forgotten := shellOutcome(ctx, r.Runner, "", "set -eu\n"+forgetScript)
	forgotten.Output = out + forgotten.Output
	return forgotten
}
