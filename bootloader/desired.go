package bootloader

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Desired is one component at the version that its host should run.
type Desired struct {
	Component string `json:"component"`
	Version   string `json:"version"`
	// Manifest is where the signed manifest of that version is: a path on the
	// service, such as /agent/v1/components/agent/1.2.3/linux/amd64/manifest. "" for
	// a version that is on disk already, put there by a system package.
	Manifest string `json:"manifest,omitempty"`
	// Force tries a version again at once that has failed, even as often as MaxAttempts.
	Force bool `json:"force,omitempty"`
}

// Validate reports what is wrong with a Desired that came from outside.
func (d Desired) Validate() error {
	if err := checkName(d.Component); err != nil {
		return err
	}
	if err := checkVersion(d.Version); err != nil {
		return fmt.Errorf("component %s: %w", d.Component, err)
	}
	if d.Manifest == "" {
		return nil
	}
	if !strings.HasPrefix(d.Manifest, "/") || strings.HasPrefix(d.Manifest, "//") || len(d.Manifest) > 1024 {
		return fmt.Errorf("component %s: manifest %q is not an absolute path on the service", d.Component, d.Manifest)
	}
	return nil
}

// States of a component.
const (
	Running    = "Running"    // its process is up, and this version has announced itself ready here
	Stopped    = "Stopped"    // no process: not started yet, or waiting to be started again after a crash
	Failed     = "Failed"     // the desired version did not come up; an older one runs, or none
	Installing = "Installing" // being fetched, unpacked, or started for the first time
)

// Component is the state of one component on this machine.
type Component struct {
	Name      string    `json:"name"`
	Title     string    `json:"title,omitempty"` // the name that people know it by, from its manifest
	Version   string    `json:"version"`         // the version in use; one on trial counts once it has come up; "" for none
	Desired   string    `json:"desired,omitempty"`
	Kept      []string  `json:"kept,omitempty"` // versions on disk, newest first
	State     string    `json:"state"`
	Detail    string    `json:"detail,omitempty"`   // why, when it is not plainly Running
	Failed    string    `json:"failed,omitempty"`   // version that did not come up and was rolled back
	Attempts  int       `json:"attempts,omitempty"` // how often Failed was tried
	PID       int       `json:"pid,omitempty"`
	StartedAt time.Time `json:"startedAt,omitzero"`
	Restarts  int       `json:"restarts,omitempty"` // starts after a crash since the boot loader began
}

// Status is every component of this machine, by name.
type Status struct {
	Components []Component `json:"components"`
}

// Component finds a component by name.
func (s Status) Component(name string) (Component, bool) {
	for _, c := range s.Components {
		if c.Name == name {
			return c, true
		}
	}
	return Component{}, false
}

// Names and versions become directory names, so their alphabet is closed.
var (
	nameForm    = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
	versionForm = regexp.MustCompile(`^[0-9][0-9A-Za-z.+~-]{0,63}$`)
)

func checkName(s string) error {
	if !nameForm.MatchString(s) {
		return fmt.Errorf("%.40q is not a component's name (a-z, 0-9 and -, at most 32 characters)", s)
	}
	return nil
}

func checkVersion(s string) error {
	if !versionForm.MatchString(s) {
		return fmt.Errorf("%.70q is not a version (starts with a digit; letters, digits and . + ~ -, at most 64 characters)", s)
	}
	return nil
}

// CompareVersions orders versions: dotted numbers by value, then a version with a
// pre-release suffix (after - or ~) before the one without, then the suffixes by
// their parts, as semantic versioning does. Build data after + is ignored.
func CompareVersions(a, b string) int {
	a, _, _ = strings.Cut(a, "+")
	b, _, _ = strings.Cut(b, "+")
	coreA, preA, hasA := cutPrerelease(a)
	coreB, preB, hasB := cutPrerelease(b)
	if c := compareParts(strings.Split(coreA, "."), strings.Split(coreB, "."), "0"); c != 0 {
		return c
	}
	switch {
	case hasA && !hasB:
		return -1
	case !hasA && hasB:
		return 1
	}
	return compareParts(strings.Split(preA, "."), strings.Split(preB, "."), "")
}

func cutPrerelease(v string) (core, pre string, found bool) {
	if i := strings.IndexAny(v, "-~"); i >= 0 {
		return v[:i], v[i+1:], true
	}
	return v, "", false
}

// compareParts compares part by part, numbers by value and before words; a missing
// part counts as fill.
func compareParts(a, b []string, fill string) int {
	for i := range max(len(a), len(b)) {
		pa, pb := fill, fill
		if i < len(a) {
			pa = a[i]
		}
		if i < len(b) {
			pb = b[i]
		}
		na, errA := strconv.ParseUint(pa, 10, 64)
		nb, errB := strconv.ParseUint(pb, 10, 64)
		c := 0
		switch {
		case errA == nil && errB == nil:
			c = cmp.Compare(na, nb)
		case errA == nil:
			c = -1
			if pb == "" {
				c = 1
			}
		case errB == nil:
			c = 1
			if pa == "" {
				c = -1
			}
		default:
			c = cmp.Compare(pa, pb)
		}
		if c != 0 {
			return c
		}
	}
	return 0
}
