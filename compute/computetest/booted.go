//go:build e2e

package computetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard/compute"
)

// bootFor is how long the test guest may take to report: 5 s alone under emulation,
// several times that beside others.
const bootFor = 3 * time.Minute

// RunBooted tests what only a guest can tell. o.Image is the test guest's
// (e2e/drivers), with a kernel, an initial file system and room for arguments.
func RunBooted(t *testing.T, o Options) {
	for _, c := range []struct {
		sentence string
		test     func(*fixture)
	}{
		{"GuestSeesWhatTheSpecSays", guestSees},
		{"ShutdownIsFollowedByTheGuest", guestFollows},
		{"GuestsOwnPowerOffIsOffAndNoCrash", guestPowersOff},
		{"GuestsOwnPowerOffIsToldByWatch", guestPowersOffUnasked},
		{"GuestsPanicIsACrash", guestPanics},
		{"GuestsRebootKeepsTheMachine", guestReboots},
		{"RestartBootsTheGuestAnew", guestRestarted},
		{"HibernationKeepsWhatTheGuestWasDoing", guestHibernates},
		{"BalloonTakesMemoryFromTheGuest", guestShrinks},
	} {
		t.Run(c.sentence, func(t *testing.T) { c.test(newFixture(t, o)) })
	}
}

// line is one that the test guest writes to its serial port.
type line struct {
	Guest       string            `json:"guest"`
	Run         string            `json:"run"`
	N           int               `json:"n"`
	Boots       int               `json:"boots"`
	CPUs        int               `json:"cpus"`
	MemoryMB    int               `json:"memoryMB"`
	UUID        string            `json:"uuid"`
	Serial      string            `json:"serial"`
	DiskBytes   int64             `json:"diskBytes"`
	MAC         string            `json:"mac"`
	Address     string            `json:"address"`
	Seed        map[string]string `json:"seed"`
	Credentials map[string]string `json:"credentials"`
	Faults      []string          `json:"faults"`
}

// lines are what the guest wrote so far.
func (f *fixture) lines(s compute.Spec) []line {
	f.Helper()
	text, err := f.d.Console(f.ctx(), s.ID)
	f.must(err)
	var all []line
	for l := range bytes.Lines(text) {
		var one line
		if json.Unmarshal(bytes.TrimSpace(l), &one) == nil && one.Guest != "" {
			all = append(all, one)
		}
	}
	return all
}

// hears waits for a line of the guest's.
func (f *fixture) hears(s compute.Spec, what string, matches func(line) bool) (found line) {
	f.Helper()
	start := time.Now()
	f.within(bootFor, func() string {
		for _, l := range f.lines(s) {
			if l.Guest == what && (matches == nil || matches(l)) {
				found = l
				return ""
			}
		}
		return "the guest wrote no such line: " + what
	})
	f.Logf("%q after %.1f s", what, time.Since(start).Seconds())
	return found
}

// boots makes a machine whose guest does what the argument says, and starts it.
func (f *fixture) boots(arguments string) compute.Spec {
	f.Helper()
	s := f.spec()
	s.Image.Arguments += " " + arguments
	f.ensure(s)
	f.power(s, compute.Start)
	return s
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func guestSees(f *fixture) {
	s := f.spec()
	s.CPUs, s.MemoryMB = 2, 256
	s.Disk = compute.Disk{SizeGB: 2, Class: "StandardSSD_LRS"}
	userData, token := []byte("#cloud-config\n# "+uuid.NewString()+"\n"), []byte(uuid.NewString())
	s.Seed = compute.Seed{
		NoCloud:     map[string][]byte{"meta-data": []byte("instance-id: " + s.ID + "\n"), "user-data": userData},
		Credentials: map[string][]byte{"deskyard.invitation": token},
	}
	f.ensure(s)
	start := time.Now()
	f.power(s, compute.Start)
	f.Logf("running after %d ms", time.Since(start).Milliseconds())
	r := f.hears(s, "report", nil)
	if len(r.Faults) > 0 {
		f.Errorf("the guest had trouble: %v", r.Faults)
	}
	if r.CPUs != 2 || r.MemoryMB < 200 || r.MemoryMB > 256 || r.DiskBytes != 2<<30 || r.Boots != 1 {
		f.Errorf("of 2 processors, 256 MiB and a disk of 2 GiB the guest sees %d, %d and %d", r.CPUs, r.MemoryMB, r.DiskBytes)
	}
	if !strings.EqualFold(r.UUID, s.ID) || !strings.EqualFold(r.Serial, s.ID) {
		f.Errorf("machine %s is %s with the serial number %s inside", s.ID, r.UUID, r.Serial)
	}
	if r.MAC != s.NICs[0].MAC || r.Address != s.NICs[0].Address.String() {
		f.Errorf("interface %s with %s is %s with %s inside", s.NICs[0].MAC, s.NICs[0].Address, r.MAC, r.Address)
	}
	if r.Seed["user-data"] != sum(userData) || r.Seed["meta-data"] == "" {
		f.Errorf("the seed inside is %v", r.Seed)
	}
	if r.Credentials["deskyard.invitation"] != sum(token) {
		f.Errorf("the credentials inside are %v", r.Credentials)
	}
}

func guestFollows(f *fixture) {
	s := f.boots("")
	f.hears(s, "tick", nil)
	start := time.Now()
	f.power(s, compute.Shutdown)
	f.Logf("off after %.1f s", time.Since(start).Seconds())
	if o := f.state(s, compute.Off); o.Reason != "" {
		f.Errorf("the reason is %q", o.Reason)
	}
	f.hears(s, "button", nil)
}

func guestPowersOff(f *fixture) {
	s := f.boots("do=poweroff")
	f.hears(s, "report", nil)
	f.within(30*time.Second, func() string {
		switch o := f.observe(s); o.State {
		case compute.Off:
			return ""
		case compute.Running:
			return "the machine runs on"
		default:
			f.Fatalf("a guest that powered off left its machine %s (%s)", o.State, o.Reason)
			return ""
		}
	})
	f.reopen()
	f.state(s, compute.Off)
	f.power(s, compute.Start)
	f.hears(s, "report", func(l line) bool { return l.Boots == 2 })
}

func guestPowersOffUnasked(f *fixture) {
	w := f.watches()
	w.patience = bootFor // a guest that is busy takes its time; nobody looks but when told
	s := f.boots("do=poweroff")
	w.sees(time.Now(), s, compute.Off)
}

func guestPanics(f *fixture) {
	s := f.boots("do=panic")
	f.hears(s, "report", nil)
	f.within(30*time.Second, func() string {
		if o := f.observe(s); o.State != compute.Crashed || o.Reason == "" {
			return "the machine is " + string(o.State) + " " + o.Reason
		}
		return ""
	})
	f.power(s, compute.PowerOff)
	f.state(s, compute.Off)
}

func guestReboots(f *fixture) {
	s := f.boots("do=reboot-once")
	f.hears(s, "report", func(l line) bool { return l.Boots == 2 })
	f.state(s, compute.Running)
}

func guestRestarted(f *fixture) {
	s := f.boots("")
	first := f.hears(s, "tick", nil)
	f.power(s, compute.Restart)
	second := f.hears(s, "report", func(l line) bool { return l.Boots == 2 })
	if first.Run == second.Run {
		f.Error("the guest runs on as if nothing had happened")
	}
}

func guestHibernates(f *fixture) {
	if !f.capabilities().Hibernate {
		f.Skip("the host cannot hibernate machines")
	}
	s := f.boots("")
	before := f.hears(s, "tick", nil)
	start := time.Now()
	f.power(s, compute.Hibernate)
	f.Logf("hibernated in %d ms", time.Since(start).Milliseconds())
	f.state(s, compute.Hibernated)
	f.reopen()
	last := 0
	for _, l := range f.lines(s) {
		if l.Guest == "tick" {
			last = l.N
		}
	}
	start = time.Now()
	f.power(s, compute.Start)
	f.Logf("resumed in %d ms", time.Since(start).Milliseconds())
	after := f.hears(s, "tick", func(l line) bool { return l.N > last })
	if after.Run != before.Run {
		f.Errorf("boot %s went to sleep, and %s woke up", before.Run, after.Run)
	}
	for _, l := range f.lines(s) {
		if l.Guest == "report" && l.Boots > 1 {
			f.Error("the guest booted again")
		}
	}
}

func guestShrinks(f *fixture) {
	s := f.spec()
	s.MemoryMB, s.MinMemMB = 256, 128
	f.ensure(s)
	f.power(s, compute.Start)
	f.hears(s, "tick", nil)
	f.must(f.d.Balloon(f.ctx(), s.ID, 160))
	f.within(time.Minute, func() string {
		if o := f.observe(s); o.MemoryMB > 170 {
			return "the machine still has all its memory"
		}
		return ""
	})
	f.must(f.d.Balloon(f.ctx(), s.ID, 256))
	f.within(time.Minute, func() string {
		if o := f.observe(s); o.MemoryMB < 250 {
			return "the machine has not got its memory back"
		}
		return ""
	})
}
