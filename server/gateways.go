package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/deskyard/deskyard/durable"
	"github.com/deskyard/deskyard/gateway"
	"github.com/deskyard/deskyard/reverse"
)

// Gateways on machines of their own are known by keys/gateways/NAME.pem: the
// certificates that a gateway may show, the newest first. Who has no file any longer is
// no gateway.

// EnrolledGateway is a gateway that the service lets ask.
type EnrolledGateway struct {
	Name  string
	Until time.Time // its newest certificate's; a running gateway renews it in time
}

var gatewayNameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

const (
	ownGateway = "service" // the gateway in the service's own process
	pemSuffix  = ".pem"
)

func (c Config) gatewaysFolder() string { return filepath.Join(c.keysFolder(), "gateways") }

func (c Config) gatewayFile(name string) string {
	return filepath.Join(c.gatewaysFolder(), name+pemSuffix)
}

// EnrollGateway makes the bundle of a new gateway, which clients and session hosts reach
// at these base URLs. The service may run or not.
func EnrollGateway(c Config, name string, urls []string) (gateway.Bundle, error) {
	var faults []error
	if !gatewayNameForm.MatchString(name) || name == ownGateway {
		faults = append(faults, fmt.Errorf("the name %q is not 1 to 63 lower-case letters, digits and inner hyphens, or it is %q, which the service's own gateway has", name, ownGateway))
	}
	names := []string{reverse.GatewayName}
	for _, u := range urls {
		checkURL("--url", u, func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) })
		names = append(names, urlHost(u))
	}
	if err := errors.Join(faults...); err != nil {
		return gateway.Bundle{}, err
	}
	if _, err := os.Stat(filepath.Join(c.keysFolder(), "ca.pem")); err != nil {
		return gateway.Bundle{}, fmt.Errorf("enroll gateway %s: %w; start the service with this data folder once", name, err)
	}
	if _, err := os.Stat(c.gatewayFile(name)); !errors.Is(err, fs.ErrNotExist) {
		return gateway.Bundle{}, fmt.Errorf("enroll gateway %s: there is one of that name; remove it first", name)
	}
	ca, err := openAuthority(c.keysFolder(), time.Now)
	if err != nil {
		return gateway.Bundle{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return gateway.Bundle{}, fmt.Errorf("make the gateway's key: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return gateway.Bundle{}, fmt.Errorf("encode the gateway's key: %w", err)
	}
	leaf, err := ca.gateway(key.Public(), name, names)
	if err != nil {
		return gateway.Bundle{}, err
	}
	if err := makeFolder(c.gatewaysFolder()); err != nil {
		return gateway.Bundle{}, err
	}
	if err := durable.Replace(c.gatewayFile(name), certificatePEM(leaf), 0o600); err != nil {
		return gateway.Bundle{}, err
	}
	return gateway.Bundle{
		Name: name, URLs: urls, Service: c.AgentURL, Origins: []string{c.PublicURL}, CA: string(ca.pem),
		Certificate: string(append(certificatePEM(leaf), ca.pem...)), Key: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})),
	}, nil
}

// Gateways lists the enrolled ones, by name.
func Gateways(c Config) ([]EnrolledGateway, error) {
	entries, err := os.ReadDir(c.gatewaysFolder())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list gateways: %w", err)
	}
	var all []EnrolledGateway
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), pemSuffix)
		if !ok {
			continue
		}
		shown, err := c.gatewayCertificates(name)
		if err != nil {
			return nil, err
		}
		all = append(all, EnrolledGateway{Name: name, Until: shown[0].NotAfter})
	}
	return all, nil
}

// RemoveGateway has the service refuse a gateway from now on. Sessions that it relays
// go on until they end.
func RemoveGateway(c Config, name string) error {
	if !gatewayNameForm.MatchString(name) {
		return fmt.Errorf("remove gateway: %q is no gateway's name", name)
	}
	if err := os.Remove(c.gatewayFile(name)); err != nil {
		return fmt.Errorf("remove gateway %s: %w", name, err)
	}
	return nil
}

// gatewayCertificates are those that a gateway may show, the newest first.
func (c Config) gatewayCertificates(name string) ([]*x509.Certificate, error) {
	rest, err := os.ReadFile(c.gatewayFile(name))
	if err != nil {
		return nil, fmt.Errorf("read the certificates of gateway %s: %w", name, err)
	}
	var all []*x509.Certificate
	for block, rest := pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
		one, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read the certificates of gateway %s: %w", name, err)
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("read the certificates of gateway %s: %s holds none; remove the gateway and enroll it again", name, c.gatewayFile(name))
	}
	return all, nil
}

var errNoGateway = errors.New("this address is for the service's gateways, which are enrolled on it and show their certificate")

// gatewayOf tells which gateway calls.
func (s *service) gatewayOf(r *http.Request) (string, error) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return "", errNoGateway
	}
	leaf := r.TLS.PeerCertificates[0]
	name := leaf.Subject.CommonName
	if !gatewayNameForm.MatchString(name) {
		return "", errNoGateway
	}
	known, err := s.config.gatewayCertificates(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("gateway %s was removed; enroll it again", name)
	}
	if err != nil {
		return "", err
	}
	for _, c := range known {
		if bytes.Equal(c.Raw, leaf.Raw) {
			return name, nil
		}
	}
	return "", fmt.Errorf("gateway %s was enrolled again since this certificate was made; give it the newer bundle", name)
}

// renewGateway certifies a fresh key of the gateway that calls, for the names that it
// has. What it shows now stays good until it asks with the new one.
func (s *service) renewGateway(r *http.Request, key []byte) (string, error) {
	current := r.TLS.PeerCertificates[0]
	public, err := x509.ParsePKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("read the key of gateway %s: %w", current.Subject.CommonName, err)
	}
	names := current.DNSNames
	for _, ip := range current.IPAddresses {
		names = append(names, ip.String())
	}
	leaf, err := s.authority.gateway(public, current.Subject.CommonName, names)
	if err != nil {
		return "", err
	}
	if err := durable.Replace(s.config.gatewayFile(current.Subject.CommonName), append(certificatePEM(leaf), certificatePEM(current)...), 0o600); err != nil {
		return "", err
	}
	s.log.Info("gateway's certificate renewed", "gateway", current.Subject.CommonName, "until", leaf.NotAfter)
	return string(append(certificatePEM(leaf), s.authority.pem...)), nil
}

// gateway certifies a gateway: a server to hosts and clients, a client to the service.
func (a *authority) gateway(key any, name string, names []string) (*x509.Certificate, error) {
	return a.certify(key, name, names, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
}

func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}
