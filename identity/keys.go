package identity

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sys/unix"

	"github.com/deskyard/deskyard/durable"
)

// KeySource has the issuer's keys.
type KeySource interface {
	// Signing is the key to sign with now and its id.
	Signing() (kid string, key *rsa.PrivateKey)
	// Verifying finds the public key of an id; false when it is none of ours, or
	// was replaced longer ago than a token lives.
	Verifying(kid string) (*rsa.PublicKey, bool)
	// Set is the JSON Web Key Set to publish.
	Set() jose.JSONWebKeySet
	// MAC authenticates what the sign-in pages hand to a browser and read back.
	MAC(message []byte) []byte
}

// Lives of signing keys. Entra replaces its keys every few weeks; ours sign only
// for one service, so a season is enough. A replaced key stays valid for a day:
// tokens live one hour, and caches of the key set should be gone by then.
const (
	KeyLife     = 90 * 24 * time.Hour
	keyOverlap  = 24 * time.Hour
	keyBits     = 2048
	keyFileName = "issuer-keys.json"
	// keyReload bounds how often an unknown key id may make us look at the file.
	keyReload = time.Second
)

// Keys is a KeySource in one file of a directory: issuer-keys.json, mode 0600,
// replaced by renaming. Several processes may share the directory; a process that
// meets a key id it does not know looks whether another one has rotated.
type Keys struct {
	Now func() time.Time // nil: time.Now

	path   string
	mu     sync.Mutex // guards the fields below
	keys   []signingKey
	secret []byte
	looked time.Time
}

type signingKey struct {
	id       string
	private  *rsa.PrivateKey
	made     time.Time
	replaced time.Time // zero: it is the one to sign with
}

// keyFile is the form on disk, newest key first.
type keyFile struct {
	Keys   []storedKey `json:"keys"`
	Secret []byte      `json:"secret"`
}

type storedKey struct {
	ID       string    `json:"kid"`
	PKCS8    []byte    `json:"pkcs8"`
	Made     time.Time `json:"made"`
	Replaced time.Time `json:"replaced,omitzero"`
}

// OpenKeys reads the keys below dir and makes directory and keys when there are none.
func OpenKeys(dir string) (*Keys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make key directory: %w", err)
	}
	k := &Keys{path: filepath.Join(dir, keyFileName)}
	err := k.exclusively(func() error {
		err := k.load()
		if errors.Is(err, fs.ErrNotExist) {
			err = k.create()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return k, nil
}

// Signing implements KeySource.
func (k *Keys) Signing() (string, *rsa.PrivateKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys[0].id, k.keys[0].private
}

// Verifying implements KeySource.
func (k *Keys) Verifying(kid string) (*rsa.PublicKey, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, ok := k.find(kid); ok {
		return key, true
	}
	now := k.now()
	if now.Sub(k.looked) < keyReload {
		return nil, false
	}
	k.looked = now
	if err := k.load(); err != nil {
		return nil, false // the keys in memory stay; the token is refused
	}
	return k.find(kid)
}

// Set implements KeySource.
func (k *Keys) Set() jose.JSONWebKeySet {
	k.mu.Lock()
	defer k.mu.Unlock()
	var set jose.JSONWebKeySet
	for _, key := range k.keys {
		if k.valid(key) {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.private.Public(), KeyID: key.id, Algorithm: string(jose.RS256), Use: "sig"})
		}
	}
	return set
}

// MAC implements KeySource.
func (k *Keys) MAC(message []byte) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	m := hmac.New(sha256.New, k.secret)
	m.Write(message)
	return m.Sum(nil)
}

// Maintain rotates when the signing key has reached KeyLife; call it daily.
func (k *Keys) Maintain() (rotated bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	err = k.exclusively(func() error {
		if err := k.load(); err != nil { // another process may have done it
			return err
		}
		if rotated = k.now().Sub(k.keys[0].made) >= KeyLife; rotated {
			return k.rotate()
		}
		return nil
	})
	return rotated && err == nil, err
}

// Rotate makes a new signing key at once. The one before verifies for another day.
func (k *Keys) Rotate() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.exclusively(func() error {
		if err := k.load(); err != nil {
			return err
		}
		return k.rotate()
	})
}

// exclusively runs f while no other process changes the file.
func (k *Keys) exclusively(f func() error) (err error) {
	lock, err := os.OpenFile(k.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("lock issuer keys: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }() // closing unlocks
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock issuer keys: %w", err)
	}
	return f()
}

func (k *Keys) now() time.Time {
	if k.Now != nil {
		return k.Now()
	}
	return time.Now()
}

func (k *Keys) valid(key signingKey) bool {
	return key.replaced.IsZero() || k.now().Sub(key.replaced) < keyOverlap
}

func (k *Keys) find(kid string) (*rsa.PublicKey, bool) {
	for _, key := range k.keys {
		if key.id == kid && k.valid(key) {
			return &key.private.PublicKey, true
		}
	}
	return nil, false
}

func (k *Keys) rotate() error {
	fresh, err := newSigningKey(k.now())
	if err != nil {
		return err
	}
	next := []signingKey{fresh}
	for _, old := range k.keys {
		if old.replaced.IsZero() {
			old.replaced = k.now()
		}
		if k.valid(old) {
			next = append(next, old)
		}
	}
	if err := writeKeys(k.path, next, k.secret); err != nil {
		return err
	}
	k.keys = next
	return nil
}

func (k *Keys) create() error {
	first, err := newSigningKey(k.now())
	if err != nil {
		return err
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails: it ends the process instead (crypto/rand, Go 1.24)
	k.keys, k.secret = []signingKey{first}, secret
	return writeKeys(k.path, k.keys, k.secret)
}

func (k *Keys) load() error {
	b, err := os.ReadFile(k.path)
	if err != nil {
		return fmt.Errorf("read issuer keys: %w", err)
	}
	var f keyFile
	if err := json.Unmarshal(b, &f); err != nil {
		return fmt.Errorf("read issuer keys %s: %w", k.path, err)
	}
	if len(f.Keys) == 0 || len(f.Secret) < 32 {
		return fmt.Errorf("read issuer keys %s: the file holds no key; restore it from a backup, or remove it to have new keys made", k.path)
	}
	keys := make([]signingKey, 0, len(f.Keys))
	for _, e := range f.Keys {
		parsed, err := x509.ParsePKCS8PrivateKey(e.PKCS8)
		if err != nil {
			return fmt.Errorf("read issuer key %s of %s: %w", e.ID, k.path, err)
		}
		private, ok := parsed.(*rsa.PrivateKey)
		if !ok {
			return fmt.Errorf("read issuer key %s of %s: it is a %T, not an RSA key", e.ID, k.path, parsed)
		}
		keys = append(keys, signingKey{id: e.ID, private: private, made: e.Made, replaced: e.Replaced})
	}
	k.keys, k.secret = keys, f.Secret
	return nil
}

func newSigningKey(now time.Time) (signingKey, error) {
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return signingKey{}, fmt.Errorf("make issuer key: %w", err)
	}
	sum, err := (&jose.JSONWebKey{Key: private.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		return signingKey{}, fmt.Errorf("name issuer key: %w", err)
	}
	return signingKey{id: base64.RawURLEncoding.EncodeToString(sum), private: private, made: now.UTC()}, nil
}

// writeKeys replaces the file in one step, so that a crash leaves the old keys or
// the new ones.
func writeKeys(path string, keys []signingKey, secret []byte) error {
	f := keyFile{Secret: secret}
	for _, key := range keys {
		der, err := x509.MarshalPKCS8PrivateKey(key.private)
		if err != nil {
			return fmt.Errorf("encode issuer key %s: %w", key.id, err)
		}
		f.Keys = append(f.Keys, storedKey{key.id, der, key.made, key.replaced})
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("encode issuer keys: %w", err)
	}
	if err := durable.Replace(path, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write issuer keys: %w", err)
	}
	return nil
}
