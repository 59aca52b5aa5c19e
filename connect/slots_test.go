package connect

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/deskyard/deskyard"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// slots reads "user state[!]…"; ! is one whose user is connecting.
func slots(text ...string) (all []deskyard.Slot) {
	for _, t := range text {
		last := strings.LastIndexByte(t, ' ')
		user, state := t[:last], t[last+1:]
		s := deskyard.Slot{Host: "h", User: user, Connection: "c", State: strings.TrimSuffix(state, "!"), Since: noon}
		if strings.HasSuffix(state, "!") {
			s.Due = noon.Add(time.Minute)
		}
		all = append(all, s)
	}
	return all
}

func TestSlotsFollowSessions(t *testing.T) {
	for _, c := range []struct {
		name      string
		slots     []deskyard.Slot
		sessions  []string // user or DOMAIN\account
		put, gone string
	}{
		{"a pending user who came is active", slots("ann@x Pending!"), []string{"Ann@X"}, "ann@x Active", ""},
		{"a session of nobody's connection takes a place", nil, []string{"root"}, "root Active", ""},
		{"nothing changed, nothing is written", slots("ann@x Active", "bob@x Pending!"), []string{"ann@x"}, "", ""},
		{"a session that ended gives its place back", slots("ann@x Active"), nil, "", "ann@x Active"},
		{"one who connects again keeps the place", slots("ann@x Active!"), nil, "ann@x Pending!", ""},
		{"an account is the user who is named like it", slots("ann@x Pending!", "bob@x Pending!"), []string{`CORP\bob`}, "bob@x Active", ""},
		{"another's account is not", slots("ann@x Pending!"), []string{"an"}, "an Active", ""},
		{"a second session takes a second place", slots("ann@x Active"), []string{"ann@x", "ann@x"}, "ann@x #2 Active", ""},
		{"and gives it back", slots("ann@x Active", "ann@x #2 Active"), []string{"ann@x"}, "", "ann@x #2 Active"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var sessions []deskyard.UserSession
			for i, u := range c.sessions {
				sessions = append(sessions, deskyard.UserSession{ID: i, User: u})
			}
			put, gone := follow(c.slots, sessions, "h", noon)
			if d := cmp.Diff([]string{c.put, c.gone}, []string{spell(put), spell(gone)}); d != "" {
				t.Error(d)
			}
		})
	}
}

func spell(all []deskyard.Slot) string {
	var text []string
	for _, s := range all {
		due := ""
		if !s.Due.IsZero() {
			due = "!"
		}
		text = append(text, s.User+" "+s.State+due)
	}
	return strings.Join(text, ", ")
}

// TestAfterFollowingThereAreAsManyActiveSlotsAsSessions also says that following again
// finds nothing to do.
func TestAfterFollowingThereAreAsManyActiveSlotsAsSessions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var before []deskyard.Slot
		taken := map[string]bool{}
		for range rapid.IntRange(0, 6).Draw(t, "slots") {
			s := slots(fmt.Sprintf("u%d@x %s", rapid.IntRange(0, 5).Draw(t, "user"),
				rapid.SampledFrom([]string{"Active", "Active!", "Pending!"}).Draw(t, "state")))[0]
			if !taken[s.User] {
				taken[s.User] = true
				before = append(before, s)
			}
		}
		var sessions []deskyard.UserSession
		for i := range rapid.IntRange(0, 6).Draw(t, "sessions") {
			u := deskyard.UserSession{ID: i, User: fmt.Sprintf("u%d", rapid.IntRange(0, 5).Draw(t, "of"))}
			if rapid.Bool().Draw(t, "by principal name") {
				u.User += "@x"
			}
			sessions = append(sessions, u)
		}
		put, gone := follow(before, sessions, "h", noon)
		after := apply(before, put, gone)
		active := 0
		for _, s := range after {
			if s.State == deskyard.SlotActive {
				active++
			}
		}
		if active != len(sessions) {
			t.Fatalf("%d active slots for %d sessions: %s", active, len(sessions), spell(after))
		}
		if put, gone := follow(after, sessions, "h", noon); len(put)+len(gone) > 0 {
			t.Fatalf("a second time: put %s, gone %s", spell(put), spell(gone))
		}
	})
}
