package provision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/compute"
)

// maxGuestName bounds a computer name that is not for Windows: a DNS label.
const maxGuestName = 63

// hasAgent reports whether the guest is to be awaited: osProfile can say that no
// agent is wanted, and then nothing in the guest is ours.
func (f *machineFacts) hasAgent() bool {
	for _, c := range []osConfig{f.OS.Linux, f.OS.Windows} {
		if c.Agent != nil && !*c.Agent {
			return false
		}
	}
	return true
}

// secureBoot and tpm follow the security type where nothing is said (article
// "Trusted launch": both are on by default).
func (f *machineFacts) secureBoot() bool {
	if b := f.Security.UEFI.SecureBoot; b != nil {
		return *b
	}
	return f.launchesTrusted()
}

func (f *machineFacts) tpm() bool {
	if b := f.Security.UEFI.VTPM; b != nil {
		return *b
	}
	return f.Security.EnableTPM || f.launchesTrusted()
}

func (f *machineFacts) launchesTrusted() bool {
	return strings.EqualFold(f.Security.Type, "TrustedLaunch") || f.confidential()
}

func (f *machineFacts) confidential() bool {
	return strings.EqualFold(f.Security.Type, "ConfidentialVM")
}

// shape is a machine's processors and memory: of its size, or as an instance of
// Azure Stack HCI says itself.
func (f *machineFacts) shape() (cpus, memoryMB, minimumMB int, err error) {
	if size, ok := deskyard.LookupVMSize(f.Hardware.Size); ok && f.Hardware.Processors == 0 {
		return size.CPUs, size.MemoryMB, 0, nil
	}
	h := f.Hardware
	if h.Processors < 1 || h.MemoryMB < 1 {
		return 0, 0, 0, arm.Errorf(arm.Invalid, "InvalidParameter",
			"The size '%s' is not known. az vm list-sizes shows those that are.", h.Size).WithTarget("properties.hardwareProfile.vmSize")
	}
	if d := h.Dynamic; d != nil && d.Minimum > 0 && d.Minimum < max(d.Maximum, h.MemoryMB) {
		return h.Processors, max(d.Maximum, h.MemoryMB), d.Minimum, nil
	}
	return h.Processors, h.MemoryMB, 0, nil
}

// needs is what the machine takes of a host.
func (f *machineFacts) needs(image compute.Image) need {
	cpus, memory, _, err := f.shape()
	return need{
		location: f.location, zone: f.zone, cpus: cpus, memoryMB: memory, diskGB: f.diskGB(image),
		secureBoot: f.secureBoot(), tpm: f.tpm(), confidential: f.confidential(), hibernate: f.Capabilities.Hibernation, refused: err, set: setKey(*f),
	}
}

func (f *machineFacts) diskGB(image compute.Image) int {
	return max(f.Storage.OSDisk.SizeGB, int(math.Ceil(float64(image.VirtualBytes)/(1<<30))))
}

// host is the hypervisor that the machine is placed on.
func (m *machineRun) host() (Hypervisor, error) {
	h, ok := m.s.hypervisor(m.st.Place.Host)
	if !ok {
		return h, fmt.Errorf("the hypervisor '%s', which the machine '%s' is on, is no longer configured; add it to --hypervisors again: %w",
			m.st.Place.Host, m.id.Name(), compute.ErrUnreachable)
	}
	return h, nil
}

// spec is the machine as the driver is to make it.
func (m *machineRun) spec(image compute.Image, h Hypervisor) (compute.Spec, error) {
	f := &m.facts
	cpus, memory, minimum, err := f.shape()
	if err != nil {
		return compute.Spec{}, err
	}
	s := compute.Spec{
		ID: m.st.MachineID, Owner: m.s.o.Owner, Name: f.name, Tags: f.tags,
		CPUs: cpus, MemoryMB: memory, MinMemMB: minimum, Image: image,
		Disk:       compute.Disk{SizeGB: f.diskGB(image), Class: f.Storage.OSDisk.Managed.Type},
		SecureBoot: f.secureBoot(), TPM: f.tpm(), Confidential: f.confidential(),
	}
	for _, n := range f.nics {
		s.NICs = append(s.NICs, compute.NIC{MAC: n.mac, Network: n.subnet.network(), Address: n.address})
	}
	s.Seed, err = m.seed(image, h)
	return s, err
}

// network is a subnet as drivers see it. Its gateway is its first address, as in Azure.
func (f subnetFacts) network() compute.Network {
	n := compute.Network{ID: f.id.Key(), Prefix: f.prefix, DNS: f.dns, DHCP: f.dhcp, Bridge: f.bridge, VLAN: f.vlan}
	if f.prefix.IsValid() {
		n.Gateway = f.prefix.Masked().Addr().Next()
	}
	return n
}

// rules are the security rules of each interface as the rows now say them, and
// their digest.
func (m *machineRun) rules(ctx context.Context) (rules [][]compute.Rule, digest string, err error) {
	for _, n := range m.facts.nics {
		r, err := rulesOf(ctx, m.s.o.Store, n)
		if err != nil {
			return nil, "", err
		}
		rules = append(rules, r)
	}
	sum := sha256.Sum256(encoded(rules))
	return rules, hex.EncodeToString(sum[:8]), nil
}

// filter has the hypervisor apply the rules, whether or not it was given them before.
func (m *machineRun) filter(ctx context.Context, h Hypervisor) error {
	rules, digest, err := m.rules(ctx)
	if err != nil {
		return err
	}
	for i, r := range rules {
		if err := h.Driver.Filter(ctx, m.st.MachineID, i, r); err != nil {
			return fmt.Errorf("set the security rules of '%s' on %s: %w", m.facts.nics[i].id.Name(), h.Name, err)
		}
	}
	if m.st.Rules == digest {
		return nil
	}
	return m.alter(ctx, func(_ context.Context, c change) error {
		c.st.Rules = digest
		return nil
	})
}

// refilter applies rules that have changed since they were applied last: somebody
// changed a security group, a subnet or an interface.
func (m *machineRun) refilter(ctx context.Context, h Hypervisor) error {
	facts, err := readMachine(ctx, m.s.o.Store, m.row)
	var refused *arm.Error
	if errors.As(err, &refused) {
		return nil // what it names is gone; the rules that stand go on
	}
	if err != nil {
		return err
	}
	m.facts = facts
	_, digest, err := m.rules(ctx)
	if err != nil || digest == m.st.Rules {
		return err
	}
	if err := m.filter(ctx, h); err != nil {
		return err
	}
	m.s.log.Info("security rules changed", "machine", m.id, "hypervisor", h.Name)
	return nil
}

// balloonToStart brings a machine with dynamic memory from its most, which it booted
// with, to what its row starts it with.
func (m *machineRun) balloonToStart(ctx context.Context) error {
	_, memory, minimum, err := m.facts.shape()
	if err != nil || minimum == 0 || m.facts.Hardware.MemoryMB >= memory {
		return err
	}
	h, err := m.host()
	if err != nil {
		return err
	}
	err = h.Driver.Balloon(ctx, m.st.MachineID, max(m.facts.Hardware.MemoryMB, minimum))
	if errors.Is(err, compute.ErrUnsupported) || errors.Is(err, compute.ErrNotRunning) {
		m.s.log.Warn("memory not ballooned", "machine", m.id, "err", err)
		return nil // it keeps its most: nothing that it was promised is missing
	}
	return err
}

// adminSettings and adminSecrets are what StepAdmin is asked with.
type adminSettings struct {
	ComputerName string      `json:"computerName"`
	AdminUser    string      `json:"adminUsername,omitempty"`
	NoPassword   bool        `json:"disablePasswordAuthentication,omitempty"`
	PublicKeys   []publicKey `json:"publicKeys,omitempty"`
	TimeZone     string      `json:"timeZone,omitempty"`
}

type adminSecrets struct {
	AdminPassword string `json:"adminPassword,omitempty"`
	CustomData    string `json:"customData,omitempty"`
}

// adminStep names the guest and makes its administrator. Its id is the making's, so
// that the guest does it once.
func (m *machineRun) adminStep() deskyard.Step {
	f := &m.facts
	settings := adminSettings{
		ComputerName: f.name, AdminUser: f.OS.AdminUser, NoPassword: f.OS.Linux.NoPassword,
		PublicKeys: slices.Concat(f.OS.Linux.SSH.Keys, f.OS.Windows.SSH.Keys), TimeZone: f.OS.Windows.TimeZone,
	}
	return deskyard.Step{
		ID: fmt.Sprintf("admin-%s-%d", m.st.MachineID, m.st.Round), Kind: deskyard.StepAdmin, Timeout: adminTime,
		Settings: encoded(settings), Secrets: encoded(adminSecrets{m.secrets.AdminPassword, m.secrets.CustomData}),
	}
}

// neverCame is the failure of a guest that did not reach the service, with the end of
// what it wrote to its console.
func (m *machineRun) neverCame(ctx context.Context, h Hypervisor, what string) *arm.Error {
	tail := "its console shows nothing"
	if text, err := h.Driver.Console(ctx, m.st.MachineID); err != nil {
		tail = fmt.Sprintf("its console could not be read (%v)", err)
	} else if last := lastLines(text); last != "" {
		tail = "its console ends with: " + last
	}
	return arm.Errorf(arm.Conflicting, "OSProvisioningTimedOut",
		"OS Provisioning for VM '%s' did not finish: %s; %s. The machine is kept: look at its console and screen (az vm boot-diagnostics get-boot-log-uris --ids %s), then repeat the request or delete it.",
		m.id.Name(), what, tail, m.id)
}

// Bounds of what is told of a console.
const (
	consoleLines = 4
	consoleBytes = 400
)

// lastLines are the last lines of a console that say anything, on one line and
// without control characters.
func lastLines(text []byte) string {
	var lines []string
	for _, l := range strings.Split(string(text), "\n") {
		l = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f || r == '\ufffd' {
				return -1
			}
			return r
		}, l)
		if l = strings.TrimSpace(l); l != "" {
			lines = append(lines, l)
		}
	}
	said := strings.Join(lines[max(0, len(lines)-consoleLines):], " | ")
	if over := len(said) - consoleBytes; over > 0 {
		said = strings.ToValidUTF8("…"+said[over:], "")
	}
	return said
}

// checkGuestName holds a computer name to the guest's rules.
func checkGuestName(name, os string) error {
	most := maxGuestName
	if os == "windows" {
		most = 15 // NetBIOS
	}
	if len(name) > most {
		return arm.Errorf(arm.Invalid, "InvalidParameter", "The computer name '%s' has %d characters; at most %d are allowed.", name, len(name), most).WithTarget("properties.osProfile.computerName")
	}
	return nil
}
