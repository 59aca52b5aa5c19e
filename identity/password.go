package identity

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/deskyard/deskyard/arm"
)

// Passwords hashes and verifies passwords with argon2id. Each run takes Memory, so
// only so many run at a time and the others wait for their turn or their context.
type Passwords struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8

	slots chan struct{}
	dummy string // a hash that nothing matches, verified where there is no account
}

// Bounds of a password. NIST SP 800-63B asks for eight characters at least and for
// no rules of composition; an account here rules every desktop, hence twelve. The
// upper bound is Entra's.
const (
	minPassword = 12
	maxPassword = 256
)

// maxHashMemory bounds what a stored hash may ask for, in KiB: a row that was
// tampered with must not take the machine's memory.
const maxHashMemory = 1 << 20

// errHashForm is answered for a stored hash that is not argon2id in PHC form.
var errHashForm = errors.New("not an argon2id hash")

// NewPasswords makes a Passwords with the second recommended option of RFC 9106,
// section 4 (64 MiB, three passes, four lanes), and a slot for each processor,
// four at most.
func NewPasswords() *Passwords {
	return newPasswords(64<<10, 3, 4)
}

func newPasswords(memory, passes uint32, threads uint8) *Passwords {
	p := &Passwords{Memory: memory, Time: passes, Threads: threads, slots: make(chan struct{}, min(runtime.GOMAXPROCS(0), 4))}
	p.dummy = p.encode(make([]byte, 16), make([]byte, 32))
	return p
}

// Hash makes a hash of a password, in PHC form with a salt of its own.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails: it ends the process instead (crypto/rand, Go 1.24)
	if err := p.enter(ctx); err != nil {
		return "", err
	}
	defer p.leave()
	return p.encode(salt, argon2.IDKey([]byte(password), salt, p.Time, p.Memory, p.Threads, 32)), nil
}

// Verify reports whether the password belongs to the hash. An empty hash matches
// nothing, in the time that a real one takes.
func (p *Passwords) Verify(ctx context.Context, hash, password string) (bool, error) {
	real := hash != ""
	if !real {
		hash = p.dummy
	}
	memory, passes, threads, salt, want, err := parseHash(hash)
	if err != nil {
		return false, err
	}
	if len(password) > 4*maxPassword {
		password = "" // cannot match; hashing it would only take time
		real = false
	}
	if err := p.enter(ctx); err != nil {
		return false, err
	}
	defer p.leave()
	got := argon2.IDKey([]byte(password), salt, passes, memory, threads, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1 && real, nil
}

// outdated reports whether a hash was made with other parameters than today's.
func (p *Passwords) outdated(hash string) bool {
	memory, passes, threads, _, _, err := parseHash(hash)
	return err == nil && (memory != p.Memory || passes != p.Time || threads != p.Threads)
}

// hashWait bounds how long a hash waits for its turn: whoever is made to wait longer
// has gone, or is an attack.
const hashWait = 10 * time.Second

func (p *Passwords) enter(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, hashWait)
	defer cancel()
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return arm.Errorf(arm.Throttled, "TooManyRequests", "Too many sign-ins are waiting for their turn. Try again in a minute.")
	}
}

func (p *Passwords) leave() { <-p.slots }

func (p *Passwords) encode(salt, sum []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.Memory, p.Time, p.Threads, b64.EncodeToString(salt), b64.EncodeToString(sum))
}

// parseHash reads the PHC form "$argon2id$v=19$m=65536,t=3,p=4$salt$hash".
func parseHash(s string) (memory, passes uint32, threads uint8, salt, sum []byte, err error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return 0, 0, 0, nil, nil, errHashForm
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &passes, &threads); n != 3 || err != nil {
		return 0, 0, 0, nil, nil, errHashForm
	}
	if memory == 0 || memory > maxHashMemory || passes == 0 || passes > 64 || threads == 0 {
		return 0, 0, 0, nil, nil, errHashForm
	}
	salt, err = base64.RawStdEncoding.DecodeString(parts[4])
	if err == nil {
		sum, err = base64.RawStdEncoding.DecodeString(parts[5])
	}
	if err != nil || len(salt) < 8 || len(sum) < 16 || len(sum) > 64 {
		return 0, 0, 0, nil, nil, errHashForm
	}
	return memory, passes, threads, salt, sum, nil
}

// checkPassword says what is wrong with a password that somebody chose.
func checkPassword(password, upn string) error {
	refuse := func(format string, args ...any) error {
		return arm.Errorf(arm.Invalid, "Request_BadRequest", "The specified password does not comply with password complexity requirements: "+format, args...).WithTarget("passwordProfile.password")
	}
	n := utf8.RuneCountInString(password)
	local, _, _ := strings.Cut(upn, "@")
	switch {
	case !utf8.ValidString(password):
		return refuse("it is not valid UTF-8.")
	case n < minPassword:
		return refuse("it has %d characters; %d are the least.", n, minPassword)
	case n > maxPassword:
		return refuse("it has %d characters; %d are the most.", n, maxPassword)
	case len(local) > 3 && strings.Contains(strings.ToLower(password), strings.ToLower(local)):
		return refuse("it contains the user's name.")
	case strings.Count(password, password[:1]) == len(password):
		return refuse("it is one character repeated.")
	}
	return nil
}

// GeneratePassword makes a password of 20 characters (115 bits) without characters
// that look alike.
func GeneratePassword() string {
	const alphabet = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
	return randomText(alphabet, 20)
}

// randomText draws n characters of an alphabet of at most 256, each as likely.
func randomText(alphabet string, n int) string {
	limit := byte(256 - 256%len(alphabet) - 1)
	if 256%len(alphabet) == 0 {
		limit = 255
	}
	out := make([]byte, 0, n)
	var b [64]byte
	for len(out) < n {
		_, _ = rand.Read(b[:]) // never fails: it ends the process instead (crypto/rand, Go 1.24)
		for _, c := range b {
			if c <= limit && len(out) < n {
				out = append(out, alphabet[int(c)%len(alphabet)])
			}
		}
	}
	return string(out)
}
