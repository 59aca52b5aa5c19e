package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/deskyard/deskyard/durable"
)

// profile is what login keeps: where the service is, who logged in, and what it
// takes to get tokens. It lies in the user's configuration folder with mode 0600.
type profile struct {
	Endpoint       string `json:"endpoint"`
	CAFile         string `json:"caFile,omitempty"`
	Pin            string `json:"pin,omitempty"` // base64url SHA-256 of a certificate's public key
	TenantID       string `json:"tenantId"`
	SubscriptionID string `json:"subscriptionId"`
	ClientID       string `json:"clientId"`
	ClientSecret   string `json:"clientSecret,omitempty"` // of a service principal, which has no other way to a new token
	RefreshToken   string `json:"refreshToken,omitempty"` // of a person
	User           string `json:"user,omitempty"`
	Tokens         []kept `json:"tokens,omitempty"` // access tokens still valid
	source         string // what it was read from, for account show
	path           string // where to keep new tokens; "" keeps none
	changed        bool   // since it was read
	now            func() time.Time
}

// kept is an access token until it expires.
type kept struct {
	Scope   string    `json:"scope"`
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

// maxProfile bounds the files that are read.
const maxProfile = 1 << 20

// errNotLoggedIn is advised on by connect.
var errNotLoggedIn = errors.New("not logged in to a Deskyard service")

// profilePath is the file that login writes: $DESKYARD_CONFIG_DIR/profile.json, or
// deskyard/profile.json in the user's configuration folder.
func profilePath() (string, error) {
	dir := os.Getenv("DESKYARD_CONFIG_DIR")
	if dir == "" {
		base, err := os.UserConfigDir()
		if err != nil {
			return "", fmt.Errorf("find the configuration folder: %w", err)
		}
		dir = filepath.Join(base, "deskyard")
	}
	return filepath.Join(dir, "profile.json"), nil
}

// findProfile looks where to go and as whom: the bootstrap file, then the
// environment, then what login kept.
func findProfile(bootstrap string) (*profile, error) {
	if bootstrap != "" {
		return readBootstrap(bootstrap)
	}
	if endpoint := os.Getenv("DESKYARD_ENDPOINT"); endpoint != "" {
		return &profile{
			Endpoint: endpoint, CAFile: os.Getenv("DESKYARD_CA_FILE"), Pin: os.Getenv("DESKYARD_PIN"),
			TenantID: os.Getenv("DESKYARD_TENANT_ID"), SubscriptionID: os.Getenv("DESKYARD_SUBSCRIPTION_ID"),
			ClientID: os.Getenv("DESKYARD_CLIENT_ID"), ClientSecret: os.Getenv("DESKYARD_CLIENT_SECRET"),
			source: "environment", now: time.Now,
		}, nil
	}
	path, err := profilePath()
	if err != nil {
		return nil, err
	}
	p, err := readProfile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, advise(errNotLoggedIn,
			"deskyard login --endpoint https://HOST:PORT --ca-file CA.pem, or point --bootstrap at the file that deskyard serve --bootstrap wrote.")
	}
	return p, err
}

func readProfile(path string) (*profile, error) {
	text, err := readSmall(path)
	if err != nil {
		return nil, err
	}
	p := &profile{source: path, path: path, now: time.Now}
	if err := json.Unmarshal(text, p); err != nil {
		return nil, advise(fmt.Errorf("read %s: %w", path, err), "remove the file and log in again: deskyard login.")
	}
	return p, nil
}

// readBootstrap reads the file that `deskyard serve --bootstrap` writes.
func readBootstrap(path string) (*profile, error) {
	text, err := readSmall(path)
	if err != nil {
		return nil, advise(err, "start the service with: deskyard serve --bootstrap %s", path)
	}
	p := &profile{source: path, now: time.Now}
	if err := json.Unmarshal(text, p); err != nil {
		return nil, fmt.Errorf("read bootstrap file %s: %w", path, err)
	}
	if p.Endpoint == "" || p.ClientID == "" || p.ClientSecret == "" {
		return nil, fmt.Errorf("read bootstrap file %s: endpoint, clientId and clientSecret are required", path)
	}
	if p.CAFile != "" && !filepath.IsAbs(p.CAFile) {
		p.CAFile = filepath.Join(filepath.Dir(path), p.CAFile)
	}
	return p, nil
}

func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxProfile {
		return nil, fmt.Errorf("read %s: it has %d bytes, more than the %d it may have", path, info.Size(), maxProfile)
	}
	return os.ReadFile(path)
}

// save keeps the profile, replacing the file whole so that a crash leaves the old one.
func (p *profile) save() error {
	if p.path == "" {
		return nil
	}
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the profile: %w", err)
	}
	dir := filepath.Dir(p.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the configuration folder: %w", err)
	}
	if err := durable.Replace(p.path, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the profile: %w", err)
	}
	p.changed = false
	return nil
}

// token is a kept access token that is good for a while yet.
func (p *profile) token(scope string) (string, bool) {
	for _, k := range p.Tokens {
		// Two minutes: a command's requests should not outlive their token.
		if k.Scope == scope && p.now().Add(2*time.Minute).Before(k.Expires) {
			return k.Token, true
		}
	}
	return "", false
}

// keep remembers an access token, and forgets those that have expired.
func (p *profile) keep(scope, token string, life time.Duration) {
	now := p.now()
	fresh := []kept{{scope, token, now.Add(life)}}
	for _, k := range p.Tokens {
		if k.Scope != scope && now.Before(k.Expires) {
			fresh = append(fresh, k)
		}
	}
	p.Tokens, p.changed = fresh, true
}
