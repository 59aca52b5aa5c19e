package deskyard

import (
	"net/netip"
	"path"
	"strings"
	"time"

	"github.com/deskyard/deskyard/arm"
)

// RegistrationKey is the record behind a registration token. The token itself is
// not stored: it is signed anew from this record, byte for byte the same.
type RegistrationKey struct {
	ID        string // GUID, claim RegistrationId
	PoolID    arm.ResourceID
	Pool      string // object id of the pool
	CreatedAt time.Time
	CreatedBy string
	ExpiresAt time.Time
	RevokedAt time.Time // zero: not revoked
	Uses      int       // enrolments so far
	Limits    KeyLimits
}

// KeyLimits narrows a key; Azure has none of these. The zero value does not narrow.
type KeyLimits struct {
	MaxUses     int    `json:"maxUses,omitempty"`     // enrolments at most; 0: no bound
	SourceCIDR  string `json:"sourceCidr,omitempty"`  // comma-separated prefixes the machine must come from
	NamePattern string `json:"namePattern,omitempty"` // shell pattern for the host's name, any case
	SingleHost  string `json:"singleHost,omitempty"`  // the one host name this key is for
	Run         bool   `json:"run,omitempty"`         // made for one run that adds session hosts
}

// OfPool reports whether the key is the pool's own: one that its administrator made,
// retrieves, and ends by a new one. A key for one host or one run stands beside it.
func (l KeyLimits) OfPool() bool { return l.SingleHost == "" && !l.Run }

// Bounds of a key's life (troubleshoot-agent article: 1 hour to 27 days; newer
// clients send up to 30). maxKeyLifeSlack lets a client whose clock runs ahead ask for the bound itself.
const (
	MinKeyLife   = time.Hour
	MaxKeyLife   = 30 * 24 * time.Hour
	keyLifeSlack = 5 * time.Minute
)

// ErrKeyExhausted is answered when a key has enrolled as many hosts as it may.
var ErrKeyExhausted = arm.Errorf(arm.Forbidden, "EXHAUSTED_REGISTRATION_TOKEN",
	"The registration key has been used as often as it allows. Generate a new key for the host pool.")

// ValidateKeyLife checks an expiry against the bounds.
func ValidateKeyLife(now, expires time.Time) error {
	life := expires.Sub(now)
	if life < MinKeyLife-keyLifeSlack || life > MaxKeyLife+keyLifeSlack {
		return arm.Errorf(arm.Invalid, "InvalidExpirationTime",
			"The registration key's expiration time must lie between 1 hour and 27 days from now (up to 30 days are accepted); %s is %s from now.",
			expires.UTC().Format(time.RFC3339), life.Round(time.Minute)).WithTarget("properties.registrationInfo.expirationTime")
	}
	return nil
}

// Valid reports whether the key may enrol a host at now.
func (k RegistrationKey) Valid(now time.Time) bool {
	return k.RevokedAt.IsZero() && now.Before(k.ExpiresAt)
}

// Admit says whether the key lets a machine of that name, from that address,
// register at now; the error names the limit. Uses are counted by the store.
func (k RegistrationKey) Admit(now time.Time, host string, from netip.Addr) error {
	refuse := func(code, format string, args ...any) error {
		return arm.Errorf(arm.Forbidden, code, format+" Generate a new key for the host pool, or change this one's limits.", args...)
	}
	switch {
	case !k.RevokedAt.IsZero():
		return refuse("INVALID_REGISTRATION_TOKEN", "The registration key was revoked at %s.", k.RevokedAt.UTC().Format(time.RFC3339))
	case !now.Before(k.ExpiresAt):
		return refuse("EXPIRED_REGISTRATION_TOKEN", "The registration key expired at %s.", k.ExpiresAt.UTC().Format(time.RFC3339))
	case k.Limits.SingleHost != "" && !strings.EqualFold(k.Limits.SingleHost, host):
		return refuse("INVALID_REGISTRATION_TOKEN", "The registration key is for the host %q only, not for %q.", k.Limits.SingleHost, host)
	case k.Limits.NamePattern != "" && !matchName(k.Limits.NamePattern, host):
		return refuse("INVALID_REGISTRATION_TOKEN", "The registration key is for hosts named %q; this one is %q.", k.Limits.NamePattern, host)
	case k.Limits.SourceCIDR != "" && !within(k.Limits.SourceCIDR, from):
		return refuse("INVALID_REGISTRATION_TOKEN", "The registration key is for machines from %s; this one came from %s.", k.Limits.SourceCIDR, from)
	}
	return nil
}

// Validate notes each limit that cannot be read.
func (l KeyLimits) Validate(at string, v *arm.Violations) {
	if l.MaxUses < 0 {
		v.Add(at+".maxUses", "maxUses must not be negative; it is %d.", l.MaxUses)
	}
	if _, err := path.Match(l.NamePattern, "x"); err != nil {
		v.Add(at+".namePattern", "namePattern %q is not a shell pattern.", l.NamePattern)
	}
	for _, c := range split(l.SourceCIDR) {
		if _, err := netip.ParsePrefix(c); err != nil {
			v.Add(at+".sourceCidr", "sourceCidr %q is not an address prefix such as 10.0.0.0/8.", c)
		}
	}
}

func matchName(pattern, host string) bool {
	ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(host))
	return err == nil && ok
}

func within(cidrs string, a netip.Addr) bool {
	for _, c := range split(cidrs) {
		if p, err := netip.ParsePrefix(c); err == nil && p.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
