package deskyard

import (
	"strings"
	"testing"

	"github.com/deskyard/deskyard/arm"
)

func TestTheStandardRDPPropertiesAreValid(t *testing.T) {
	var v arm.Violations
	ValidateRDPProperties("p", DefaultRDPProperties, &v)
	props, bad := ParseRDPProperties(DefaultRDPProperties)
	if len(v) > 0 || len(bad) > 0 || len(props) != 12 {
		t.Errorf("%d properties, bad %v, faults %v", len(props), bad, v)
	}
}

func TestAnRDPPropertysValueMayHoldColons(t *testing.T) {
	props, bad := ParseRDPProperties("kdcproxyname:s:host:443; Use Multimon:i:0 ;")
	if len(bad) > 0 || len(props) != 2 || props[0].Value != "host:443" || props[1].Name != "use multimon" {
		t.Errorf("%+v, bad %q", props, bad)
	}
}

func TestWhatTheServiceSetsIsNotForPools(t *testing.T) {
	for _, name := range []string{"full address", "username", "GatewayHostname", "gatewaysid", "gatewayaccesstoken", "RemoteApplicationMode", "remoteapplicationfile", "signature"} {
		var v arm.Violations
		if ValidateRDPProperties("p", "audiomode:i:0;"+name+":s:x", &v); len(v) != 1 {
			t.Errorf("%s: %v", name, v)
		}
	}
}

func FuzzParseRDPProperties(f *testing.F) {
	for _, s := range []string{DefaultRDPProperties, "", ";;", "a:i:x", "a:s:", ":s:x", "full address:s:h", "a:b:ff\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		props, bad := ParseRDPProperties(s)
		if len(props)+len(bad) > strings.Count(s, ";")+1 {
			t.Fatalf("%d properties out of %q", len(props)+len(bad), s)
		}
		for _, p := range props {
			if p.Name == "" || p.Name != strings.ToLower(p.Name) || !strings.Contains("isb", p.Type) {
				t.Fatalf("%q gave %+v", s, p)
			}
		}
		var v arm.Violations
		ValidateRDPProperties("p", s, &v)
		if len(bad) > 0 && len(v) == 0 {
			t.Fatalf("%q is malformed and was let pass", s)
		}
	})
}
