package server

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Config is everything that `deskyard serve` can be told, by flag, by environment
// variable (DESKYARD_…) or by configuration file; a flag wins over the
// environment, the environment over the file.
type Config struct {
	Data      string `help:"Folder for the database, keys and packages; made if missing." default:"deskyard-data" env:"DESKYARD_DATA" type:"path"`
	Listen    string `help:"Address of the one TLS port." default:"127.0.0.1:8443" env:"DESKYARD_LISTEN" placeholder:"HOST:PORT"`
	Bootstrap string `help:"Write endpoint and first credentials to this file (mode 0600) once the service is ready." env:"DESKYARD_BOOTSTRAP_FILE" type:"path" placeholder:"FILE"`
	Database  string `help:"sqlite:PATH or postgres://… (default: SQLite in the data folder)." env:"DESKYARD_DATABASE" placeholder:"DSN"`

	PublicURL  string   `help:"How clients reach the service (default: https://localhost:PORT)." name:"public-url" env:"DESKYARD_PUBLIC_URL" placeholder:"URL"`
	AgentURL   []string `help:"How session hosts reach the service, in the order to try (default: the public URL)." name:"agent-url" env:"DESKYARD_AGENT_URL" placeholder:"URL"`
	GatewayURL string   `help:"Gateway that clients are sent to (default: the public URL, where the service's own is)." name:"gateway-url" env:"DESKYARD_GATEWAY_URL" placeholder:"URL"`
	TLSCert    string   `help:"Certificate chain to show to people and tools instead of the service's own." name:"tls-cert" env:"DESKYARD_TLS_CERT" type:"path" placeholder:"FILE"`
	TLSKey     string   `help:"Key of --tls-cert." name:"tls-key" env:"DESKYARD_TLS_KEY" type:"path" placeholder:"FILE"`

	Subscription string           `help:"Display name of the subscription." default:"Deskyard" env:"DESKYARD_SUBSCRIPTION_NAME"`
	Domain       string           `help:"Domain of local users' names." default:"deskyard.local" env:"DESKYARD_DOMAIN"`
	Location     []string         `help:"Locations that resources may name, the first being the default (default: local and Azure's public regions)." env:"DESKYARD_LOCATION"`
	Federation   FederationConfig `embed:""`
	TrustProxy   []string         `help:"Address prefixes of reverse proxies whose X-Forwarded-For is believed." name:"trust-proxy" env:"DESKYARD_TRUST_PROXY" placeholder:"CIDR"`
	Components   string           `help:"Folder with agent packages to publish at start (default: 'components' beside the program)." env:"DESKYARD_COMPONENTS" type:"path" placeholder:"DIR"`

	BootDeadline   time.Duration     `help:"How long a new machine has from its start until its boot loader has a link." name:"boot-deadline" default:"15m" env:"DESKYARD_BOOT_DEADLINE"`
	Hypervisors    string            `help:"Where machines are made: 'auto' (this machine's QEMU, if installed), 'none', or a YAML file that lists hosts (docs/machines.md)." default:"auto" env:"DESKYARD_HYPERVISORS" placeholder:"auto|none|FILE"`
	TemplateMirror map[string]string `help:"Where linked templates are read instead: URI-PREFIX=FOLDER or =https://…; nothing else is fetched." name:"template-mirror" env:"DESKYARD_TEMPLATE_MIRROR" placeholder:"PREFIX=TARGET"`
	TemplateHost   []string          `help:"Hosts that templates may be linked from as they are, over https." name:"template-host" env:"DESKYARD_TEMPLATE_HOST" placeholder:"HOST[:PORT]"`

	MetricsListen string        `help:"Also serve /metrics in clear on this address." name:"metrics-listen" env:"DESKYARD_METRICS_LISTEN" placeholder:"HOST:PORT"`
	LogLevel      string        `help:"debug, info, warn or error." name:"log-level" default:"info" env:"DESKYARD_LOG_LEVEL"`
	LogFormat     string        `help:"text or json." name:"log-format" default:"text" env:"DESKYARD_LOG_FORMAT"`
	KeepAudit     time.Duration `help:"How long audit events are kept (default: 9600h, which is 400 days)." name:"keep-audit" env:"DESKYARD_KEEP_AUDIT"`
	FileLife      time.Duration `help:"How long a downloaded connection file works; each use is decided anew." name:"connection-file-life" default:"10m" env:"DESKYARD_CONNECTION_FILE_LIFE"`
	DrainFor      time.Duration `help:"How long a shutdown waits for requests under way and for sessions of its own gateway." name:"drain-for" default:"15s" env:"DESKYARD_DRAIN_FOR"`
}

const minKeepAudit = 90 * 24 * time.Hour

var domainForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)

// Check fills in what follows from other settings and reports every fault at once.
func (c *Config) Check() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	_, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		fault("--listen %q is not HOST:PORT: %v", c.Listen, err)
	}
	if c.MetricsListen != "" {
		if _, _, err := net.SplitHostPort(c.MetricsListen); err != nil {
			fault("--metrics-listen %q is not HOST:PORT: %v", c.MetricsListen, err)
		}
	}
	if c.Data == "" {
		fault("--data must name a folder")
	}
	if c.Database == "" {
		c.Database = "sqlite:" + filepath.Join(c.Data, "deskyard.db")
	}
	if !strings.HasPrefix(c.Database, "sqlite:") && !strings.HasPrefix(c.Database, "postgres://") && !strings.HasPrefix(c.Database, "postgresql://") {
		fault("--database must start with sqlite: or postgres://")
	}
	if c.PublicURL == "" {
		c.PublicURL = "https://localhost:" + port
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	if len(c.AgentURL) == 0 {
		c.AgentURL = []string{c.PublicURL}
	}
	checkURL("--public-url", c.PublicURL, fault)
	if c.GatewayURL == "" {
		c.GatewayURL = c.PublicURL
	}
	c.GatewayURL = strings.TrimRight(c.GatewayURL, "/")
	checkURL("--gateway-url", c.GatewayURL, fault)
	for i := range c.AgentURL {
		c.AgentURL[i] = strings.TrimRight(c.AgentURL[i], "/")
		checkURL("--agent-url", c.AgentURL[i], fault)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		fault("--tls-cert and --tls-key go together")
	}
	for _, f := range []string{c.TLSCert, c.TLSKey} {
		if f == "" {
			continue
		}
		if _, err := os.Stat(f); err != nil {
			fault("read %s: %v", f, err)
		}
	}
	for _, p := range c.TrustProxy {
		if _, _, err := net.ParseCIDR(p); err != nil {
			fault("--trust-proxy %q is not an address prefix such as 10.0.0.0/8", p)
		}
	}
	if !domainForm.MatchString(c.Domain) {
		fault("--domain %q is not a DNS domain in lower case", c.Domain)
	}
	c.checkLog(fault)
	if c.FileLife != 0 && (c.FileLife < time.Minute || c.FileLife > 30*24*time.Hour) {
		fault("--connection-file-life %s is not between a minute and 30 days", c.FileLife)
	}
	if c.DrainFor < 0 || c.DrainFor > 10*time.Minute {
		fault("--drain-for %s is not between 0 and 10 minutes", c.DrainFor)
	}
	c.checkMachines(fault)
	c.checkFederation(fault)
	if c.KeepAudit == 0 {
		c.KeepAudit = 400 * 24 * time.Hour
	}
	if c.KeepAudit < minKeepAudit {
		fault("--keep-audit %s is less than %s, Azure's own retention of the activity log", c.KeepAudit, minKeepAudit)
	}
	if len(c.Location) == 0 {
		c.Location = defaultLocations
	}
	return errors.Join(faults...)
}

func (c *Config) checkLog(fault func(string, ...any)) {
	if _, ok := logLevels[c.LogLevel]; !ok {
		fault("--log-level %q is not debug, info, warn or error", c.LogLevel)
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		fault("--log-format %q is not text or json", c.LogFormat)
	}
}

// checkMachines checks what concerns the making of machines.
func (c *Config) checkMachines(fault func(string, ...any)) {
	if _, err := c.hypervisorEntries(); err != nil {
		fault("%w", err)
	}
	for prefix, target := range c.TemplateMirror {
		if !strings.HasPrefix(prefix, "https://") || target == "" {
			fault("--template-mirror %s=%s is not of the form https://PREFIX=FOLDER or https://PREFIX=https://TARGET", prefix, target)
		}
	}
}

func checkURL(flag, s string, fault func(string, ...any)) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" || u.RawQuery != "" {
		fault("%s %q is not of the form https://HOST[:PORT]", flag, s)
	}
}

// defaultLocations lets templates written for Azure name their region; "local" is
// the first, and so the default.
var defaultLocations = []string{
	"local",
	"eastus", "eastus2", "centralus", "northcentralus", "southcentralus", "westcentralus", "westus", "westus2", "westus3",
	"canadacentral", "canadaeast", "brazilsouth", "northeurope", "westeurope", "uksouth", "ukwest", "francecentral",
	"germanywestcentral", "switzerlandnorth", "swedencentral", "norwayeast", "italynorth", "polandcentral", "spaincentral",
	"uaenorth", "southafricanorth", "centralindia", "southindia", "eastasia", "southeastasia", "japaneast", "japanwest",
	"koreacentral", "australiaeast", "australiasoutheast",
}

// componentsFolder is where agent packages to publish are looked for.
func (c Config) componentsFolder() string {
	if c.Components != "" {
		return c.Components
	}
	exe, err := os.Executable()
	if err != nil {
		return "components"
	}
	return filepath.Join(filepath.Dir(exe), "components")
}

// sqlitePath is the file of a SQLite DSN.
func sqlitePath(dsn string) (string, bool) { return strings.CutPrefix(dsn, "sqlite:") }

// keysFolder holds the keys and certificates; a backup takes it along.
func (c Config) keysFolder() string { return filepath.Join(c.Data, "keys") }

// gatewaysElsewhere are the gateways that clients are sent to and that are not the
// service's own.
func (c *Config) gatewaysElsewhere() []string {
	if c.GatewayURL == c.PublicURL {
		return nil
	}
	return []string{c.GatewayURL}
}
