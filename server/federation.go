package server

import (
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	"github.com/deskyard/deskyard/federation"
	"github.com/deskyard/deskyard/identity"
)

// FederationConfig names other directories whose people may sign in.
type FederationConfig struct {
	LDAPURL          string `help:"LDAP directory whose people sign in with their password there: ldaps://HOST, or ldap://HOST for StartTLS." name:"ldap-url" env:"DESKYARD_LDAP_URL" placeholder:"URL"`
	LDAPBase         string `help:"Where to search it (DC=corp,DC=example)." name:"ldap-base" env:"DESKYARD_LDAP_BASE" placeholder:"DN"`
	LDAPBind         string `help:"Account to search it with: a distinguished name, or NAME@DOMAIN in Active Directory." name:"ldap-bind" env:"DESKYARD_LDAP_BIND" placeholder:"NAME"`
	LDAPPasswordFile string `help:"File with the password of --ldap-bind." name:"ldap-password-file" env:"DESKYARD_LDAP_PASSWORD_FILE" type:"path" placeholder:"FILE"`
	LDAPCA           string `help:"File with the certificates that may sign the directory's (default: the system's)." name:"ldap-ca" env:"DESKYARD_LDAP_CA" type:"path" placeholder:"FILE"`

	OIDCIssuer     string `help:"OpenID provider that people may sign in at instead; its redirect URI is PUBLIC-URL/signin/back." name:"oidc-issuer" env:"DESKYARD_OIDC_ISSUER" placeholder:"URL"`
	OIDCName       string `help:"What it is called on the sign-in page (default: its host)." name:"oidc-name" env:"DESKYARD_OIDC_NAME"`
	OIDCClient     string `help:"Our client id there." name:"oidc-client" env:"DESKYARD_OIDC_CLIENT" placeholder:"ID"`
	OIDCSecretFile string `help:"File with our client secret there." name:"oidc-secret-file" env:"DESKYARD_OIDC_SECRET_FILE" type:"path" placeholder:"FILE"`
}

// directories opens what is configured; either may be nil.
func (c Config) directories() (identity.PasswordDirectory, identity.Provider, error) {
	l, err := c.ldap()
	if err != nil {
		return nil, nil, err
	}
	p, err := c.oidc()
	return l, p, err
}

func (c Config) ldap() (identity.PasswordDirectory, error) {
	if c.Federation.LDAPURL == "" {
		return nil, nil
	}
	o := federation.LDAPOptions{URL: c.Federation.LDAPURL, Base: c.Federation.LDAPBase, BindDN: c.Federation.LDAPBind}
	var err error
	if c.Federation.LDAPPasswordFile != "" {
		if o.BindPassword, err = secretIn("--ldap-password-file", c.Federation.LDAPPasswordFile); err != nil {
			return nil, err
		}
	}
	if c.Federation.LDAPCA != "" {
		pem, err := os.ReadFile(c.Federation.LDAPCA)
		if err != nil {
			return nil, fmt.Errorf("read --ldap-ca: %w", err)
		}
		if o.Roots = x509.NewCertPool(); !o.Roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read --ldap-ca: %s holds no certificate in PEM form", c.Federation.LDAPCA)
		}
	}
	return federation.NewLDAP(o)
}

func (c Config) oidc() (identity.Provider, error) {
	if c.Federation.OIDCIssuer == "" {
		return nil, nil
	}
	secret, err := secretIn("--oidc-secret-file", c.Federation.OIDCSecretFile)
	if err != nil {
		return nil, err
	}
	name := c.Federation.OIDCName
	if name == "" {
		name, _, _ = strings.Cut(strings.TrimPrefix(c.Federation.OIDCIssuer, "https://"), "/")
	}
	return federation.NewOIDC(federation.OIDCOptions{
		Name: name, Issuer: c.Federation.OIDCIssuer, ClientID: c.Federation.OIDCClient, ClientSecret: secret, RedirectURL: c.PublicURL + "/signin/back",
	})
}

// secretIn reads the one line of a file.
func secretIn(flag, path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", flag, err)
	}
	secret := strings.TrimRight(string(b), "\r\n")
	if secret == "" || strings.ContainsAny(secret, "\r\n") {
		return "", fmt.Errorf("read %s: %s does not hold one line", flag, path)
	}
	return secret, nil
}

// checkFederation checks what concerns other directories; the files are read here, so
// that a wrong one is told at the start.
func (c *Config) checkFederation(fault func(string, ...any)) {
	if _, _, err := c.directories(); err != nil {
		fault("%w", err)
	}
	if c.Federation.LDAPURL == "" && c.Federation.LDAPBase+c.Federation.LDAPBind+c.Federation.LDAPPasswordFile+c.Federation.LDAPCA != "" {
		fault("--ldap-base, --ldap-bind, --ldap-password-file and --ldap-ca need --ldap-url")
	}
	if c.Federation.OIDCIssuer == "" && c.Federation.OIDCName+c.Federation.OIDCClient+c.Federation.OIDCSecretFile != "" {
		fault("--oidc-name, --oidc-client and --oidc-secret-file need --oidc-issuer")
	}
}
