package bootloader

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// record is what the boot loader remembers of a component beyond what the
// directory tells.
type record struct {
	Desired  Desired   `json:"desired,omitzero"`
	Trial    string    `json:"trial,omitempty"`    // on trial: current may name it, and it is not known to come up
	Attempt  int       `json:"attempt,omitempty"`  // which attempt of Trial this is, from 1
	Previous string    `json:"previous,omitempty"` // what ran before Trial
	Good     []string  `json:"good,omitempty"`     // versions that announced themselves ready on this machine
	Proven   string    `json:"proven,omitempty"`   // last version that stayed up for ProvenAfter
	Failed   string    `json:"failed,omitempty"`   // last version that did not come up
	Reason   string    `json:"reason,omitempty"`   // why Failed failed
	FailedAt time.Time `json:"failedAt,omitzero"`
	Attempts int       `json:"attempts,omitempty"` // how often Failed was tried
}

// attempts says how often version has been tried and failed.
func (r record) attempts(version string) int {
	if r.Failed == version {
		return r.Attempts
	}
	return 0
}

func (r record) good(version string) bool { return slices.Contains(r.Good, version) }

// confirm notes that version came up.
func (r *record) confirm(version string) {
	if !r.good(version) {
		r.Good = append(r.Good, version)
		r.Good = r.Good[max(0, len(r.Good)-16):]
	}
	if r.Trial == version {
		r.Trial, r.Attempt = "", 0
	}
}

// prove notes that version stayed up. Only this forgets that it failed before: one
// that comes up and then crashes must not be tried for ever.
func (r *record) prove(version string) {
	r.Proven = version
	if r.Failed == version || r.Failed != r.Desired.Version { // what is wanted no more is of no interest either
		r.Failed, r.Reason, r.FailedAt, r.Attempts = "", "", time.Time{}, 0
	}
}

// fail notes that version did not come up, at its attempt'th attempt.
func (r *record) fail(version, reason string, attempt int, at time.Time) {
	r.Failed, r.Reason, r.Attempts, r.FailedAt = version, reason, attempt, at
	r.Good = slices.DeleteFunc(r.Good, func(v string) bool { return v == version })
	if r.Trial == version {
		r.Trial, r.Attempt = "", 0
	}
}

// ledger is the state file: the records of all components.
type ledger struct {
	path string
	mu   sync.Mutex // guards byName and the file
	// byName is by component.
	byName map[string]record
}

// openLedger reads the state file. One that cannot be decoded is put aside: what it
// said is lost, and the machine goes on with what the directories tell.
func openLedger(path string, log *slog.Logger) (*ledger, error) {
	l := &ledger{path: path, byName: map[string]record{}}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4<<20))
	if err != nil {
		return nil, fmt.Errorf("read state %s: %w", path, err)
	}
	if err := json.Unmarshal(b, &l.byName); err != nil || l.byName == nil {
		log.Error("state file unreadable, put aside", "file", path, "error", err)
		l.byName = map[string]record{}
		if err := os.Rename(path, path+".unreadable"); err != nil {
			return nil, fmt.Errorf("put unreadable state aside: %w", err)
		}
	}
	return l, nil
}

func (l *ledger) get(component string) record {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.byName[component]
	r.Good = slices.Clone(r.Good)
	return r
}

// change edits a record; it is on disk when change returns nil, and as before in
// memory and on disk otherwise.
func (l *ledger) change(component string, edit func(*record)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, had := l.byName[component]
	r := old
	r.Good = slices.Clone(old.Good)
	edit(&r)
	l.byName[component] = r
	if err := writeJSON(l.path, l.byName); err != nil {
		if had {
			l.byName[component] = old
		} else {
			delete(l.byName, component)
		}
		return fmt.Errorf("keep state of %s: %w", component, err)
	}
	return nil
}

func (l *ledger) names() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for n := range l.byName {
		out = append(out, n)
	}
	return out
}
