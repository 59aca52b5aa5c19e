package arm

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const hostPool = "/subscriptions/S/resourceGroups/RG/providers/Microsoft.DesktopVirtualization/hostPools/hp1"

func TestParseIDReadsWhatClientsSend(t *testing.T) {
	for path, want := range map[string]struct{ typ, name, key string }{
		hostPool: {"Microsoft.DesktopVirtualization/hostPools", "hp1", strings.ToLower(hostPool)},
		"/subscriptions/S/resourcegroups/RG/providers/Microsoft.DesktopVirtualization//hostpools/hp1": {
			"Microsoft.DesktopVirtualization/hostpools", "hp1", strings.ToLower(hostPool)},
		hostPool + "/":                       {"Microsoft.DesktopVirtualization/hostPools", "hp1", strings.ToLower(hostPool)},
		hostPool + "/sessionHosts/h.d":       {"Microsoft.DesktopVirtualization/hostPools/sessionHosts", "h.d", strings.ToLower(hostPool) + "/sessionhosts/h.d"},
		hostPool + "/sessionHosts":           {"Microsoft.DesktopVirtualization/hostPools/sessionHosts", "", strings.ToLower(hostPool) + "/sessionhosts"},
		"/subscriptions/S/resourceGroups/RG": {"Microsoft.Resources/resourceGroups", "RG", "/subscriptions/s/resourcegroups/rg"},
		"/subscriptions/S":                   {"Microsoft.Resources/subscriptions", "S", "/subscriptions/s"},
		"/":                                  {"", "", "/"},
		hostPool + "/providers/Microsoft.Authorization/roleAssignments/g": {
			"Microsoft.Authorization/roleAssignments", "g", strings.ToLower(hostPool) + "/providers/microsoft.authorization/roleassignments/g"},
	} {
		id, err := ParseID(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if id.Type() != want.typ || id.Name() != want.name || id.Key() != want.key {
			t.Errorf("%s: type %q name %q key %q", path, id.Type(), id.Name(), id.Key())
		}
	}
}

func TestParseIDRefusesWhatNamesNothing(t *testing.T) {
	for _, path := range []string{"", "x", "/providers", "/providers/NS", "/foo", "/subscriptions", "/subscriptions/s/foo/bar", "/" + strings.Repeat("a", MaxIDLength)} {
		if id, err := ParseID(path); !errors.Is(err, ErrBadID) {
			t.Errorf("%.40q parsed as %+v, %v", path, id, err)
		}
	}
}

func TestScopesRunFromTheResourceToTheRoot(t *testing.T) {
	var got []string
	for _, s := range MustParseID(hostPool + "/sessionHosts/h").Scopes() {
		got = append(got, s.String())
	}
	want := []string{hostPool + "/sessionHosts/h", hostPool, "/subscriptions/S/resourceGroups/RG", "/subscriptions/S", "/"}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Fatalf("scopes %v", got)
	}
}

func TestAppendingToAnIDLeavesItsSiblingsAlone(t *testing.T) {
	pool := MustParseID(hostPool)
	a, b := pool.Child("sessionHosts", "a"), pool.Child("sessionHosts", "b")
	if a.Name() != "a" || b.Name() != "b" || pool.Name() != "hp1" {
		t.Fatal("ids share memory")
	}
}

func TestAnIDSurvivesTextAndBack(t *testing.T) {
	name := rapid.StringMatching(`[A-Za-z0-9._-]{1,20}`).Filter(func(s string) bool { return !strings.EqualFold(s, "providers") })
	rapid.Check(t, func(rt *rapid.T) {
		id := ResourceID{Subscription: name.Draw(rt, "sub"), ResourceGroup: name.Draw(rt, "rg")}
		id = id.Provider(name.Draw(rt, "ns"), name.Draw(rt, "coll"), name.Draw(rt, "name"))
		for i := 0; i < rapid.IntRange(0, 3).Draw(rt, "depth"); i++ {
			id = id.Child(name.Draw(rt, "coll"), name.Draw(rt, "name"))
		}
		back, err := ParseID(strings.ToUpper(id.String()))
		if err != nil || !back.Equal(id) {
			rt.Fatalf("%s came back as %s, %v", id, back, err)
		}
	})
}

func FuzzParseID(f *testing.F) {
	f.Add(hostPool)
	f.Add("/subscriptions//providers///x//")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseID(s)
		if err != nil {
			return
		}
		again, err := ParseID(id.String())
		if err != nil || !again.Equal(id) {
			t.Fatalf("%q parsed as %s and then as %s, %v", s, id, again, err)
		}
		id.Scopes()
		id.Type()
	})
}

func FuzzParseTime(f *testing.F) {
	f.Add("2026-11-22T10:11:12,430022819+00:00")
	f.Add("2026-11-22T10:11:12.1234567Z")
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := ParseTime(s); err == nil {
			if _, err := v.MarshalJSON(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestParseTimeReadsTheSeedsTimestamps(t *testing.T) {
	for in, want := range map[string]string{
		"2026-11-22T10:11:59,430022819+00:00": `"2026-11-22T10:11:59.4300228Z"`,
		"2026-11-22T12:11:59,430022819+02:00": `"2026-11-22T10:11:59.4300228Z"`,
		"2026-11-22T10:11:12.1234567Z":        `"2026-11-22T10:11:12.1234567Z"`,
		"2026-11-22T10:11:12Z":                `"2026-11-22T10:11:12Z"`,
	} {
		v, err := ParseTime(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got, err := v.MarshalJSON(); err != nil || string(got) != want {
			t.Errorf("%s became %s, %v; want %s", in, got, err, want)
		}
	}
	for _, bad := range []string{"", "tomorrow", "2026-13-01T00:00:00Z", "22/11/2026"} {
		if _, err := ParseTime(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestViolationsTellEveryFaultInOneError(t *testing.T) {
	var v Violations
	if v.Err() != nil {
		t.Fatal("no fault is an error")
	}
	v.Add("properties.a", "a is wrong.")
	v.Add("properties.b", "b is wrong.")
	var e *Error
	if !errors.As(v.Err(), &e) || len(e.Details) != 2 || !strings.Contains(e.Message, "b is wrong") {
		t.Fatalf("%+v", e)
	}
}
