package bootloader

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// process is a running component.
type process struct {
	component string
	version   string
	pid       int
	started   time.Time
	log       *os.File // read end of its output; nil when it could not be taken over
	exited    chan struct{}
	how       string // how it ended; read only after exited is closed
	readers   sync.WaitGroup
	wait      func() string // blocks until it ended and says how
}

// startProcess starts the entry of an installed version. Output goes to sink.
func startProcess(dir string, m Manifest, env []string, now time.Time, sink *lineLog) (*process, error) {
	entry := filepath.Join(dir, filepath.FromSlash(m.Entry))
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s %s: %w", m.Component, m.Version, err)
	}
	cmd := exec.Command(entry, m.Args...)
	cmd.Dir = dir
	cmd.Env = append(env, ComponentEnv+"="+m.Component, VersionEnv+"="+m.Version)
	cmd.Stdout, cmd.Stderr = w, w
	ownGroup(cmd)
	err = cmd.Start()
	w.Close() // the child has its own; ours would keep the pipe from ending
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("start %s %s: %w", m.Component, m.Version, err)
	}
	p := &process{component: m.Component, version: m.Version, pid: cmd.Process.Pid, started: now, log: r}
	p.wait = func() string {
		if err := cmd.Wait(); err != nil {
			return err.Error()
		}
		return "exit status 0"
	}
	p.watch(sink)
	return p, nil
}

// watch starts the two goroutines of a process: output, and end. A descendant that
// keeps the pipe open does not delay the notice of the end.
func (p *process) watch(sink *lineLog) {
	p.exited = make(chan struct{})
	if p.log != nil {
		p.readers.Go(func() { sink.copy(p.log) })
	}
	p.readers.Go(func() {
		p.how = p.wait()
		close(p.exited)
	})
}

// stop asks the process to end and, after grace, ends it and its descendants.
func (p *process) stop(grace time.Duration) {
	p.terminate()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
	}
	p.kill() // also what it left behind in its group
	<-p.exited
	p.close()
}

// close ends the reading of output once the process has ended.
func (p *process) close() {
	if p.log != nil {
		drained := make(chan struct{})
		go func() { p.readers.Wait(); close(drained) }()
		timer := time.NewTimer(time.Second) // for the last lines; a descendant may hold the pipe for ever
		defer timer.Stop()
		select {
		case <-drained:
		case <-timer.C:
		}
		p.log.Close()
	}
	p.readers.Wait()
}

// child is a process as children.json has it, for the boot loader that comes after.
type child struct {
	Component string    `json:"component"`
	Version   string    `json:"version"`
	PID       int       `json:"pid"`
	Ticks     string    `json:"ticks"` // kernel's start time of PID: tells a reused number
	Started   time.Time `json:"started"`
	LogFD     int       `json:"logFd,omitempty"` // descriptor of its output, after a handover
	Ready     bool      `json:"ready,omitempty"`
}

// children is the file children.json.
type children struct {
	Parent   int     `json:"parent"` // pid of the boot loader
	Handover bool    `json:"handover,omitempty"`
	Children []child `json:"children"`
}
