package rbac

import (
	"regexp"
	"strings"
	"testing"
)

func TestMatchSpansSegmentsAndIgnoresCase(t *testing.T) {
	for _, c := range []struct {
		pattern, action string
		want            bool
	}{
		{"*", "Microsoft.DesktopVirtualization/hostPools/write", true},
		{"*/read", "Microsoft.DesktopVirtualization/hostPools/sessionHosts/read", true},
		{"*/read", "Microsoft.DesktopVirtualization/hostPools/write", false},
		{"Microsoft.DesktopVirtualization/hostpools/*", "microsoft.desktopvirtualization/HostPools/retrieveRegistrationToken/action", true},
		{"Microsoft.DesktopVirtualization/hostpools/*", "Microsoft.DesktopVirtualization/hostpoolsx/read", false},
		{"Microsoft.DesktopVirtualization/hostpools/sessionhosts/*", "Microsoft.DesktopVirtualization/hostPools/retrieveRegistrationToken/action", false},
		{"Microsoft.Authorization/*/Write", "Microsoft.Authorization/roleAssignments/write", true},
		{"Microsoft.Authorization/*/read", "Microsoft.Authorization/read", false},
		{"a*b*c", "axxbyybc", true},
		{"a*b*c", "axxbyyc", true},
		{"a*b*c", "axxcyyb", false},
		{"", "", true},
		{"", "a", false},
	} {
		if got := Match(c.pattern, c.action); got != c.want {
			t.Errorf("Match(%q, %q) = %v, want %v", c.pattern, c.action, got, c.want)
		}
	}
}

func FuzzMatchAgreesWithARegularExpression(f *testing.F) {
	f.Add("Microsoft.*/hostpools/*/read", "Microsoft.DesktopVirtualization/hostPools/sessionHosts/read")
	f.Add("**a*", "ba")
	f.Fuzz(func(t *testing.T, pattern, action string) {
		if len(pattern) > 100 || len(action) > 100 {
			return
		}
		parts := strings.Split(strings.ToLower(pattern), "*")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		re, err := regexp.Compile(`(?s)\A` + strings.Join(parts, `.*`) + `\z`)
		if err != nil {
			t.Skip(err)
		}
		if got, want := Match(pattern, action), re.MatchString(strings.ToLower(action)); got != want {
			t.Errorf("Match(%q, %q) = %v, a regular expression says %v", pattern, action, got, want)
		}
	})
}
