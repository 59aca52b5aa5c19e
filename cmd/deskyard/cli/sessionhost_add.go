package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/deskyard/deskyard"
)

// sessionHostAdd has a flag for each parameter of the portal's wizard, in its order.
type sessionHostAdd struct {
	options
	HostPool      string `name:"host-pool-name" aliases:"pool" required:"" placeholder:"NAME" help:"Host pool." group:"Basics"`
	ResourceGroup string `short:"g" required:"" env:"DESKYARD_GROUP" placeholder:"GROUP" help:"Resource group of the pool." group:"Basics"`
	VMGroup       string `name:"vm-resource-group" placeholder:"GROUP" help:"Resource group for the machines. Default: the pool's." group:"Basics"`
	NamePrefix    string `required:"" placeholder:"PREFIX" help:"Hosts are named PREFIX-N; at most 11 characters." group:"Basics"`

	Count            int      `required:"" placeholder:"N" help:"How many hosts to add, 1 to 400." group:"Virtual machines"`
	Location         string   `short:"l" placeholder:"LOCATION" help:"Where. Default: where the network is." group:"Virtual machines"`
	Image            string   `required:"" placeholder:"PUBLISHER:OFFER:SKU:VERSION|ID" help:"Image, as deskyard image list names it." group:"Virtual machines"`
	Size             string   `placeholder:"SIZE" help:"Size, such as Standard_D2s_v5." group:"Virtual machines"`
	Zones            []string `name:"zone" placeholder:"N" help:"Spread over availability zones: 1, 2, 3." group:"Virtual machines"`
	AvailabilitySet  string   `placeholder:"NAME" help:"Put them into this availability set." group:"Virtual machines"`
	SecurityType     choice   `choices:"Standard,TrustedLaunch,ConfidentialVM" placeholder:"TYPE" help:"Standard, TrustedLaunch or ConfidentialVM." group:"Virtual machines"`
	SecureBoot       toggle   `placeholder:"BOOL" help:"Secure boot. Default: what the security type preselects." group:"Virtual machines"`
	VTPM             toggle   `name:"vtpm" placeholder:"BOOL" help:"Virtual TPM. Default: what the security type preselects." group:"Virtual machines"`
	IntegrityMonitor toggle   `name:"integrity-monitoring" placeholder:"BOOL" help:"Integrity monitoring. Default: what the security type preselects." group:"Virtual machines"`
	Hibernate        bool     `help:"Let them hibernate (Personal pools)." group:"Virtual machines"`
	DiskType         string   `name:"os-disk-type" placeholder:"TYPE" help:"Standard_LRS, StandardSSD_LRS or Premium_LRS." group:"Virtual machines"`
	DiskSize         int      `name:"os-disk-size-gb" placeholder:"GB" help:"Size of the system disk. Default: the image's." group:"Virtual machines"`
	ConfidentialDisk bool     `name:"confidential-disk-encryption" help:"Confidential compute encryption; required with ConfidentialVM." group:"Virtual machines"`
	BootDiagnostics  choice   `choices:"Managed,Disabled,Custom" placeholder:"HOW" help:"Keep console and screenshot: Managed (default), Disabled, or Custom, with an account." group:"Virtual machines"`
	DiagnosticsURI   string   `name:"boot-diagnostics-storage-uri" placeholder:"URI" help:"Storage account that custom boot diagnostics name." group:"Virtual machines"`

	CustomLocation string `placeholder:"NAME|ID" help:"Make Azure Stack HCI machines on this custom location." group:"Azure Stack HCI"`
	CPUs           int    `name:"vcpus" placeholder:"N" help:"Virtual processors." group:"Azure Stack HCI"`
	Memory         int    `name:"memory-mb" placeholder:"MIB" help:"Memory." group:"Azure Stack HCI"`
	MinimumMemory  int    `name:"minimum-memory-mb" placeholder:"MIB" help:"Makes memory dynamic, down to this." group:"Azure Stack HCI"`
	MaximumMemory  int    `name:"maximum-memory-mb" placeholder:"MIB" help:"Makes memory dynamic, up to this." group:"Azure Stack HCI"`
	MemoryBuffer   int    `name:"memory-buffer-percent" placeholder:"N" help:"Spare share of dynamic memory, 0 to 100 percent." group:"Azure Stack HCI"`
	LogicalNetwork string `placeholder:"NAME|ID" help:"Logical network." group:"Azure Stack HCI"`

	VNet         string `name:"vnet" placeholder:"NAME|ID" help:"Virtual network." group:"Network"`
	Subnet       string `placeholder:"NAME" help:"Its subnet." group:"Network"`
	NSG          string `name:"nsg" placeholder:"basic|ID" help:"Network security group: basic makes one, an id takes that one. Default: none." group:"Network"`
	InboundPorts []int  `name:"inbound-port" placeholder:"PORT" help:"Open a port to whatever reaches the network. Not advised; asks." group:"Network"`

	Directory         choice `choices:"MicrosoftEntraID,ActiveDirectory" placeholder:"DIRECTORY" help:"Directory to join. Default: none; users of the service's own directory sign in." group:"Domain to join"`
	JoinUser          string `name:"join-upn" placeholder:"UPN" help:"Account that may join computers." group:"Domain to join"`
	JoinPasswordFile  string `placeholder:"FILE" help:"Its password; - for stdin." group:"Domain to join"`
	Domain            string `placeholder:"DOMAIN" help:"Domain to join. Default: the account's suffix." group:"Domain to join"`
	OU                string `name:"ou" placeholder:"DN" help:"Organizational unit." group:"Domain to join"`
	AdminUser         string `required:"" placeholder:"NAME" help:"Local administrator." group:"Administrator"`
	AdminPasswordFile string `placeholder:"FILE" help:"Password of the local administrator; - for stdin. Asked for at a terminal." group:"Administrator"`
	Script            string `name:"script-url" placeholder:"URL" help:"Script to run on each host once it has joined." group:"Custom configuration"`
	Tags              words  `placeholder:"NAME=VALUE" help:"Tags, on everything that is made." group:"Tags"`
	ValidateOnly      bool   `name:"validate" help:"Only check." group:"Run"`
	NoWait            bool   `name:"no-wait" help:"Do not wait for the end." group:"Run"`
	Yes               bool   `short:"y" help:"Do not ask." group:"Run"`
}

// Run starts the run and follows it to its end.
func (c *sessionHostAdd) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		pool, err := s.poolPath(ctx, c.ResourceGroup, c.HostPool)
		if err != nil {
			return err
		}
		body, err := c.body(s)
		if err != nil {
			return err
		}
		if len(c.InboundPorts) > 0 {
			if err := s.confirm(c.Yes, "Open inbound ports to whatever reaches the network?"); err != nil {
				return err
			}
			body.Confirmed.InboundPorts = true
		}
		if c.ValidateOnly {
			return c.validate(ctx, s, pool, body)
		}
		s.noWait = true // this command follows the run itself, host by host
		resp, err := s.post(ctx, pool+"/addSessionHosts", sessionHosts, body)
		if err != nil {
			return err
		}
		var added deskyard.AddedSessionHosts
		if err := as(resp.body, &added); err != nil {
			return err
		}
		c.warn(s, added.Warnings)
		if c.NoWait {
			return s.out.print(resp.body, nil)
		}
		return s.followRun(ctx, pool, added, c.ResourceGroup, c.HostPool)
	})
}

func (c *sessionHostAdd) validate(ctx context.Context, s *session, pool string, body *deskyard.AddSessionHosts) error {
	resp, err := s.post(ctx, pool+"/validateSessionHosts", sessionHosts, body)
	if err != nil {
		return err
	}
	return s.out.print(resp.body, nil)
}

func (c *sessionHostAdd) warn(s *session, warnings []string) {
	for _, w := range warnings {
		fmt.Fprintln(s.stderr, "warning:", w)
	}
}

// body are the wizard's parameters as given; passwords are read or asked for.
func (c *sessionHostAdd) body(s *session) (*deskyard.AddSessionHosts, error) {
	b := &deskyard.AddSessionHosts{}
	b.Basics = deskyard.AddBasics{ResourceGroup: c.VMGroup, NamePrefix: c.NamePrefix, Kind: "AzureVirtualMachine"}
	m := &b.Machines
	m.Count, m.Location, m.Size = c.Count, c.Location, c.Size
	m.SecurityType, m.Hibernate = string(c.SecurityType), c.Hibernate
	m.SecureBoot, m.VTPM, m.IntegrityMonitor = c.SecureBoot.pointer(), c.VTPM.pointer(), c.IntegrityMonitor.pointer()
	m.DiskType, m.DiskGB, m.ConfidentialDisk = c.DiskType, c.DiskSize, c.ConfidentialDisk
	m.BootDiagnostics, m.DiagnosticsAccount = string(c.BootDiagnostics), c.DiagnosticsURI
	switch {
	case len(c.Zones) > 0:
		m.Availability, m.Zones = "AvailabilityZone", c.Zones
	case c.AvailabilitySet != "":
		m.Availability, m.AvailabilitySet = "AvailabilitySet", c.AvailabilitySet
	}
	var err error
	if m.Image, err = imageReference(c.Image); err != nil {
		return nil, err
	}
	if c.CustomLocation != "" {
		b.Basics.Kind = "AzureStackHCIVirtualMachine"
		m.CustomLocation, m.CPUs, m.MemoryMB, m.MemoryType = c.CustomLocation, c.CPUs, c.Memory, "Static"
		m.MinimumMB, m.MaximumMB, m.BufferPercent = c.MinimumMemory, c.MaximumMemory, c.MemoryBuffer
		if m.MinimumMB > 0 || m.MaximumMB > 0 {
			m.MemoryType = "Dynamic"
		}
	}
	b.Network = deskyard.AddNetwork{VirtualNetwork: c.VNet, Subnet: c.Subnet, InboundPorts: c.InboundPorts, LogicalNetwork: c.LogicalNetwork}
	switch {
	case strings.EqualFold(c.NSG, "basic"):
		b.Network.SecurityGroup = "Basic"
	case c.NSG != "":
		b.Network.SecurityGroup, b.Network.SecurityID = "Advanced", c.NSG
	}
	b.Directory = deskyard.AddDirectory{Directory: string(c.Directory), JoinUPN: c.JoinUser, Domain: c.Domain, OU: c.OU}
	b.Admin.User = c.AdminUser
	b.Script.URL = c.Script
	if c.Tags != nil {
		tags, err := parseTags(c.Tags)
		if err != nil {
			return nil, usagef("--tags: %v", err)
		}
		if err := as(tags, &b.Tags); err != nil {
			return nil, usagef("--tags: %v", err)
		}
	}
	return b, c.passwords(s, b)
}

func (c *sessionHostAdd) passwords(s *session, b *deskyard.AddSessionHosts) error {
	if c.AdminPasswordFile == "-" && c.JoinPasswordFile == "-" {
		return usagef("only one password can come from stdin; give the other in a file")
	}
	var err error
	if b.Admin.Password, err = s.secret(c.AdminPasswordFile, "Password for "+c.AdminUser); err != nil {
		return err
	}
	if c.Directory == "ActiveDirectory" {
		b.Directory.JoinPassword, err = s.secret(c.JoinPasswordFile, "Password of "+c.JoinUser)
	}
	return err
}

// imageReference reads PUBLISHER:OFFER:SKU:VERSION or a resource id.
func imageReference(text string) (deskyard.ImageReference, error) {
	if strings.HasPrefix(text, "/") {
		return deskyard.ImageReference{ID: text}, nil
	}
	parts := strings.Split(text, ":")
	if len(parts) == 3 {
		parts = append(parts, "latest")
	}
	if len(parts) != 4 {
		return deskyard.ImageReference{}, usagef("--image %q is neither PUBLISHER:OFFER:SKU:VERSION nor a resource id", text)
	}
	return deskyard.ImageReference{Publisher: parts[0], Offer: parts[1], SKU: parts[2], Version: parts[3]}, nil
}

// as turns a decoded answer into a type of its own.
func as(body, into any) error {
	text, err := json.Marshal(body)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return fmt.Errorf("read the service's answer: %w", err)
	}
	return nil
}

// errHostsFailed ends a command whose run left some hosts behind; what happened to
// each has been told.
var errHostsFailed = errors.New("not every session host is Available")

// followEvery is how often a run is looked at.
const followEvery = 500 * time.Millisecond

// followRun shows a run's progress until it ends, and its summary.
func (s *session) followRun(ctx context.Context, pool string, added deskyard.AddedSessionHosts, group, poolName string) error {
	name := added.Deployment[strings.LastIndexByte(added.Deployment, '/')+1:]
	show := newProgressTable(s.stderr)
	defer show.end()
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		var run deskyard.RunProgress
		resp, err := s.send(ctx, request{method: http.MethodGet, path: pool + "/sessionHostRuns/" + segment(name), version: desktopVersion})
		if err == nil {
			err = as(resp.body, &run)
		}
		if err != nil {
			return advise(err, "the run goes on by itself; look at it with: deskyard sessionhost follow -g %s --host-pool-name %s -n %s", group, poolName, name)
		}
		show.update(run)
		if run.State != "Running" {
			show.end()
			return s.summary(run)
		}
		select {
		case <-ctx.Done():
			return advise(ctx.Err(), "the run goes on by itself; look at it with: deskyard sessionhost follow -g %s --host-pool-name %s -n %s", group, poolName, name)
		case <-tick.C:
		}
	}
}

var runColumns = cols("Name", "Stage", "Seconds", "Detail", "Next")

// summary tells what became of each host.
func (s *session) summary(run deskyard.RunProgress) error {
	fmt.Fprintln(s.stderr, run.Summary)
	var hosts any
	if err := as(run.Hosts, &hosts); err != nil {
		return err
	}
	if err := s.out.print(hosts, runColumns); err != nil {
		return err
	}
	if run.State != "Succeeded" {
		return errHostsFailed
	}
	return nil
}

// sessionHostFollow looks at a run that was started before.
type sessionHostFollow struct {
	options
	Name          string `short:"n" required:"" placeholder:"NAME" help:"Name of the run's deployment." group:"Resource"`
	HostPool      string `name:"host-pool-name" aliases:"pool" required:"" placeholder:"NAME" help:"Host pool." group:"Resource"`
	ResourceGroup string `short:"g" required:"" env:"DESKYARD_GROUP" placeholder:"GROUP" help:"Resource group." group:"Resource"`
}

// Run follows the run.
func (c *sessionHostFollow) Run(ctx context.Context, k *kong.Context) error {
	return c.run(k, func(s *session) error {
		pool, err := s.poolPath(ctx, c.ResourceGroup, c.HostPool)
		if err != nil {
			return err
		}
		return s.followRun(ctx, pool, deskyard.AddedSessionHosts{Deployment: c.Name}, c.ResourceGroup, c.HostPool)
	})
}
