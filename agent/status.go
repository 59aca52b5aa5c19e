package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// States of an agent, for people.
const (
	StateUnregistered = "Not registered"
	StateRegistering  = "Registering"
	StateUnlinked     = "Registered, not linked"
	StateLinked       = "Linked"
	StateStopped      = "Stopped"
)

// Status is what the agent tells the machine's administrator. It holds no secret.
type Status struct {
	State      string    `json:"state"`
	Registered bool      `json:"registered"`
	Host       string    `json:"host,omitempty"`    // ARM id of the session host
	Service    string    `json:"service,omitempty"` // address of the link
	Why        string    `json:"why,omitempty"`     // why it is not linked
	Refused    bool      `json:"refused,omitempty"` // the service refused the registration key; another try will not help
	Since      time.Time `json:"since"`
	Version    string    `json:"version"`
	PID        int       `json:"pid"`
}

// tell writes the status for `deskyard-agent status`. That it could not be written
// must not end the agent.
func (a *Agent) tell(s Status) {
	if a.o.StatusFile == "" {
		return
	}
	s.Since, s.Version, s.PID = a.now().UTC(), a.o.Version, os.Getpid()
	b, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = replaceFile(a.o.StatusFile, append(b, '\n'), 0o644)
	}
	if err != nil {
		a.log.Warn("status not written", "file", a.o.StatusFile, "err", err)
	}
}

// ReadStatus reads a status file.
func ReadStatus(path string) (Status, error) {
	var s Status
	f, err := os.Open(path)
	if err != nil {
		return s, fmt.Errorf("read the agent's status (is its service started?): %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		return s, errors.Join(fmt.Errorf("read the agent's status %s", path), err)
	}
	return s, nil
}
