package computetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard/compute"
)

// Options say which driver is tested, and with what.
type Options struct {
	// New opens a driver over h. Called again with the same h in one test, it acts as
	// the service's next process: it must find what the former one made. The driver
	// should give a guest that does not listen no more than a second at Shutdown.
	New func(t *testing.T, h Host) compute.Driver
	// Image is what machines are cloned from; it need not boot. Its files must be
	// readable for the driver.
	Image compute.Image
	// Network is the subnet of the machines' interfaces: an IPv4 prefix of /24 or wider.
	Network compute.Network
	// Kill ends what runs a machine, as a crash of the hypervisor's process does; nil
	// where a test cannot do that.
	Kill func(t *testing.T, d compute.Driver, h Host, id string)
	// Cut makes the hypervisor of a machine deaf until mend is called; nil where a test
	// cannot do that.
	Cut func(t *testing.T, d compute.Driver, h Host, id string) (mend func())
	// Firmware is an image that UEFI boots, for secure boot and TPM; its zero value
	// stands for Image with Firmware uefi and no kernel.
	Firmware compute.Image
}

// Host is the place that a test's machines live in.
type Host struct {
	Folder string       // an empty folder, short enough for sockets in it; removed after the test
	Log    *slog.Logger // what is written to it is searched for secrets
}

// Owner is the installation that the suite's machines belong to.
const Owner = "deskyard-conformance"

// verbFor bounds each verb of the suite. The slowest, on an emulated and busy
// machine, takes a few seconds.
const verbFor = time.Minute

// Run tests the contract as far as it needs no guest that boots.
func Run(t *testing.T, o Options) {
	for _, c := range []struct {
		sentence string
		test     func(*fixture)
	}{
		{"CapabilitiesDescribeTheHost", capabilities},
		{"EnsureMakesOneMachineThatIsOff", ensureOnce},
		{"EnsureAgainInTheNextProcessFindsTheSameMachine", ensureAgain},
		{"EnsureChangesNothingThatStands", ensureChangesNothing},
		{"EnsureLeavesARunningMachineRunning", ensureRunning},
		{"EnsureThatFailsLeavesOnlyWhatRemoveFinds", ensureFails},
		{"EnsureRefusesAnotherOwnersMachine", ensureOtherOwner},
		{"EnsureRefusesADiskThatCanNeverFit", ensureNoSpace},
		{"EnsureRefusesADiskSmallerThanTheImage", ensureSmallDisk},
		{"EnsureRefusesConfidentialMemoryWithoutTheHardware", ensureConfidential},
		{"DiskHasTheSizeAskedFor", diskSize},
		{"VerbsOnUnknownMachinesSayNotFound", unknownMachine},
		{"RemoveEndsARunningMachineAndLeavesNothing", removeRunning},
		{"RemoveOfNothingIsNoError", removeNothing},
		{"PowerIntoAStateThatIsReachedIsNoError", powerReached},
		{"PowerRestartKeepsTheMachineRunning", restart},
		{"PowerShutdownPullsThePlugWhenTheGuestDoesNotFollow", shutdownDeaf},
		{"RunningMachineOutlivesTheService", outlivesService},
		{"HibernatedMachineResumesInTheNextProcess", hibernate},
		{"PowerOffForgetsAHibernatedMachinesMemory", hibernateForget},
		{"ObserveTellsACrashFromAShutdown", crash},
		{"ObserveOfADeafHypervisorIsUnreachable", deaf},
		{"ObserveKnowsTheInterfaces", interfaces},
		{"FilterWorksOffAndRunning", filter},
		{"BalloonKeepsItsBounds", balloon},
		{"ConsoleIsBounded", console},
		{"ScreenshotIsAPicture", screenshot},
		{"WatchTellsOfAnyMachineAtFirstAndEndsWithItsContext", watchBegins},
		{"WatchTellsWhatVerbsChange", watchVerbs},
		{"WatchTellsAtOnceThatAMachineCrashed", watchCrash},
		{"InventoryFindsOnlyTheOwnersThings", inventory},
		{"ImageIsNeverTouched", imageUntouched},
		{"SecretsStayHidden", secrets},
		{"VerbsEndWithTheirContext", contexts},
		{"VerbsThatWereCutOffCanBeFinished", cutOff},
		{"MachinesAreMadeSideBySide", parallel},
		{"TrustedLaunchStartsAndLeavesNothing", trustedLaunch},
	} {
		t.Run(c.sentence, func(t *testing.T) { c.test(newFixture(t, o)) })
	}
}

// fixture is one test's host, driver and machines.
type fixture struct {
	*testing.T
	Options
	host Host
	log  *lockedBuffer
	d    compute.Driver
}

func newFixture(t *testing.T, o Options) *fixture {
	t.Helper()
	log := &lockedBuffer{}
	h := Host{Folder: shortFolder(t), Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	f := &fixture{T: t, Options: o, host: h, log: log}
	f.d = o.New(t, h)
	t.Cleanup(func() {
		if t.Failed() && log.String() != "" {
			t.Logf("the driver's log:\n%s", log.String())
		}
	})
	return f
}

// reopen acts as the service's next process.
func (f *fixture) reopen() { f.Helper(); f.d = f.New(f.T, f.host) }

func (f *fixture) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.Context()), verbFor)
	f.Cleanup(cancel)
	return ctx
}

// spec is a small machine of this test, removed at its end.
func (f *fixture) spec() compute.Spec {
	f.Helper()
	id := uuid.NewString()
	last := byte(10 + uuid.MustParse(id)[15]%200)
	address := f.Network.Prefix.Masked().Addr().As4()
	address[3] = last
	s := compute.Spec{
		ID: id, Owner: Owner, Name: "sh-" + id[:4], Tags: map[string]string{"suite": "conformance"},
		CPUs: 1, MemoryMB: 128, Image: f.Image,
		NICs: []compute.NIC{{MAC: fmt.Sprintf("02:de:5c:%s:%s:%s", id[0:2], id[2:4], id[4:6]), Network: f.Network, Address: netip.AddrFrom4(address)}},
	}
	f.Cleanup(func() {
		if err := f.d.Remove(f.ctx(), id); err != nil {
			f.Errorf("remove %s after the test: %v", id, err)
		}
	})
	return s
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) wants(err, want error, what string) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Errorf("%s: error is %v, not %q", what, err, want)
	}
}

func (f *fixture) ensure(s compute.Spec) compute.Spec {
	f.Helper()
	if err := f.d.Ensure(f.ctx(), s); err != nil {
		f.Fatalf("ensure: %v", err)
	}
	return s
}

func (f *fixture) power(s compute.Spec, p compute.Power) {
	f.Helper()
	if err := f.d.Power(f.ctx(), s.ID, p); err != nil {
		f.Fatalf("%s: %v", p, err)
	}
}

// running makes a machine and starts it.
func (f *fixture) running() compute.Spec {
	f.Helper()
	s := f.ensure(f.spec())
	f.power(s, compute.Start)
	f.state(s, compute.Running)
	return s
}

func (f *fixture) observe(s compute.Spec) compute.Observation {
	f.Helper()
	o, err := f.d.Observe(f.ctx(), s.ID)
	if err != nil {
		f.Fatalf("observe: %v", err)
	}
	return o
}

func (f *fixture) state(s compute.Spec, want compute.State) compute.Observation {
	f.Helper()
	o := f.observe(s)
	if o.State != want {
		f.Fatalf("the machine is %s (%s), not %s", o.State, o.Reason, want)
	}
	return o
}

func (f *fixture) items(owner string) []compute.Item {
	f.Helper()
	items, err := f.d.Inventory(f.ctx(), owner)
	if err != nil {
		f.Fatalf("inventory: %v", err)
	}
	return items
}

// of counts the items of a machine by kind.
func (f *fixture) of(id string) map[string]int {
	f.Helper()
	kinds := map[string]int{}
	for _, i := range f.items(Owner) {
		if i.MachineID == id {
			kinds[i.Kind]++
		}
	}
	return kinds
}

func (f *fixture) capabilities() compute.Capabilities {
	f.Helper()
	c, err := f.d.Capabilities(f.ctx())
	if err != nil {
		f.Fatalf("capabilities: %v", err)
	}
	return c
}

// within calls done until it says "" or the time is over.
func (f *fixture) within(limit time.Duration, done func() (missing string)) {
	f.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); ; <-tick.C {
		missing := done()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			f.Fatalf("after %s: %s", limit, missing)
		}
	}
}

// lockedBuffer collects a log that several goroutines write.
type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Clone(l.b.String())
}
