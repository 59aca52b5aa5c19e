package deskyard_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

func TestAKeysLifeLiesBetweenAnHourAndThirtyDays(t *testing.T) {
	for life, ok := range map[time.Duration]bool{
		-time.Hour: false, 0: false, 50 * time.Minute: false, time.Hour: true, 24 * time.Hour: true,
		27 * 24 * time.Hour: true, 30 * 24 * time.Hour: true, 31 * 24 * time.Hour: false,
	} {
		if err := deskyard.ValidateKeyLife(now, now.Add(life)); (err == nil) != ok {
			t.Errorf("life %s: %v", life, err)
		}
	}
}

func TestAdmitHoldsEachLimit(t *testing.T) {
	inside, outside := netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("192.0.2.1")
	base := deskyard.RegistrationKey{ExpiresAt: now.Add(time.Hour)}
	limited := func(l deskyard.KeyLimits) deskyard.RegistrationKey { k := base; k.Limits = l; return k }
	revoked := base
	revoked.RevokedAt = now
	for name, c := range map[string]struct {
		key  deskyard.RegistrationKey
		host string
		from netip.Addr
		at   time.Time
		code string
	}{
		"no limits":             {base, "h", outside, now, ""},
		"at expiry":             {base, "h", outside, now.Add(time.Hour), "EXPIRED_REGISTRATION_TOKEN"},
		"just before expiry":    {base, "h", outside, now.Add(time.Hour - 1), ""},
		"revoked":               {revoked, "h", outside, now, "INVALID_REGISTRATION_TOKEN"},
		"inside the prefix":     {limited(deskyard.KeyLimits{SourceCIDR: "10.0.0.0/8"}), "h", inside, now, ""},
		"mapped address":        {limited(deskyard.KeyLimits{SourceCIDR: "10.0.0.0/8"}), "h", netip.MustParseAddr("::ffff:10.1.2.3"), now, ""},
		"second prefix":         {limited(deskyard.KeyLimits{SourceCIDR: "172.16.0.0/12, 10.0.0.0/8"}), "h", inside, now, ""},
		"outside the prefix":    {limited(deskyard.KeyLimits{SourceCIDR: "10.0.0.0/8"}), "h", outside, now, "INVALID_REGISTRATION_TOKEN"},
		"name fits":             {limited(deskyard.KeyLimits{NamePattern: "SH-*"}), "sh-1", outside, now, ""},
		"name does not fit":     {limited(deskyard.KeyLimits{NamePattern: "sh-*"}), "other", outside, now, "INVALID_REGISTRATION_TOKEN"},
		"the one host":          {limited(deskyard.KeyLimits{SingleHost: "sh-1"}), "SH-1", outside, now, ""},
		"not the one host":      {limited(deskyard.KeyLimits{SingleHost: "sh-1"}), "sh-2", outside, now, "INVALID_REGISTRATION_TOKEN"},
		"unreadable is refused": {limited(deskyard.KeyLimits{NamePattern: "["}), "x", outside, now, "INVALID_REGISTRATION_TOKEN"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.key.Admit(c.at, c.host, c.from)
			var e *arm.Error
			switch {
			case c.code == "" && err != nil:
				t.Fatal(err)
			case c.code != "" && (!errors.As(err, &e) || e.Code != c.code):
				t.Fatalf("%v, want %s", err, c.code)
			}
		})
	}
}

func TestLimitsThatCannotBeReadAreNoted(t *testing.T) {
	var v arm.Violations
	deskyard.KeyLimits{MaxUses: -1, SourceCIDR: "10.0.0.1", NamePattern: "["}.Validate("l", &v)
	if len(v) != 3 {
		t.Fatalf("%d faults noted: %+v", len(v), v)
	}
}
