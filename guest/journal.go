package guest

import (
	"sync"
	"time"

	"github.com/deskyard/deskyard"
)

// Bounds of the journal: far more results than one machine has extensions, and the
// output of the newest alone. Whole, each byte escaped, it stays below maxFile, beyond
// which it could not be read again.
const (
	maxJournal = 200
	maxOutputs = 32
)

// journal remembers what came of each step, across reboots. It holds no secrets.
type journal struct {
	path string

	mu      sync.Mutex // guards what follows
	results []deskyard.StepResult
}

func openJournal(path string) (*journal, error) {
	j := &journal{path: path}
	return j, readJSON(path, &j.results)
}

// find gives the record of a step.
func (j *journal) find(id string) (deskyard.StepResult, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range j.results {
		if r.ID == id {
			return r, true
		}
	}
	return deskyard.StepResult{}, false
}

// record writes a result down, in place of an earlier one of the same step.
func (j *journal) record(r deskyard.StepResult) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	kept := make([]deskyard.StepResult, 0, len(j.results)+1)
	for _, old := range j.results {
		if old.ID != r.ID {
			kept = append(kept, old)
		}
	}
	kept = append(kept, r)
	if len(kept) > maxJournal {
		kept = kept[len(kept)-maxJournal:]
	}
	if old := len(kept) - maxOutputs; old > 0 {
		for i := range kept[:old] {
			kept[i].Output = ""
		}
	}
	j.results = kept
	return writeJSON(j.path, kept)
}

// interrupted is what a step is whose machine went down under it, and that must not be
// run a second time.
func interrupted(id string, started, now time.Time) deskyard.StepResult {
	return deskyard.StepResult{
		ID: id, State: deskyard.StepFailed, Code: "StepInterrupted", ExitCode: -1, Started: started, Ended: now,
		Message: "The machine, or its boot loader, ended while the step ran; how far it came is not known. Look at the machine, then run the step again under another forceUpdateTag.",
	}
}
