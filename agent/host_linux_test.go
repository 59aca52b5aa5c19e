package agent

import (
	"context"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deskyard/deskyard"
)

// root makes a file system of the given files.
func root(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for path, text := range files {
		write(t, filepath.Join(dir, path), text)
	}
	return dir
}

const sssd = `
# comment
[sssd]
domains = implicit_files, Corp.Example.Org
[domain/implicit_files]
id_provider = files
[domain/corp.example.org]
id_provider = ad
krb5_realm = CORP.EXAMPLE.ORG
`

func TestAMachineIsDescribedFromItsFiles(t *testing.T) {
	dir := root(t, map[string]string{
		"etc/machine-id": "0123456789abcdef\n", "sys/class/dmi/id/product_uuid": "ABCDEF01-0000-0000-0000-000000000001\n",
		"proc/sys/kernel/random/boot_id": "b-1\n", "etc/os-release": "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
		"sys/class/dmi/id/chassis_asset_tag": azureAssetTag + "\n", "etc/sssd/sssd.conf": sssd,
	})
	m, err := describe(dir)
	if err != nil {
		t.Fatal(err)
	}
	if m.MachineID != "0123456789abcdef" || m.SMBIOSID != "abcdef01-0000-0000-0000-000000000001" || m.BootID != "b-1" || m.Kind != "Azure" ||
		m.OSVersion != "Debian GNU/Linux 12 (bookworm)" || m.Identity != "ad:CORP.EXAMPLE.ORG" || !strings.HasPrefix(m.FQDN, m.Hostname+".") {
		t.Errorf("%+v", m)
	}
}

func TestFirmwareThatSaysNothingGivesNoId(t *testing.T) {
	for _, junk := range []string{"", "00000000-0000-0000-0000-000000000000", "03000200-0400-0500-0006-000700080009"} {
		if id := smbiosID(root(t, map[string]string{"sys/class/dmi/id/product_uuid": junk})); id != "" {
			t.Errorf("%q gave %q", junk, id)
		}
	}
}

func TestTheSubstrateFileComesBeforeTheFirmware(t *testing.T) {
	dir := root(t, map[string]string{"etc/deskyard/substrate": "AzureStackHCI\n", "sys/class/dmi/id/chassis_asset_tag": azureAssetTag})
	if s := substrate(dir); s != "AzureStackHCI" {
		t.Errorf("substrate %q", s)
	}
	if s := substrate(t.TempDir()); s != "" {
		t.Errorf("an unknown machine is %q", s)
	}
}

func TestTheDirectoryIsFoundWhereItIsConfigured(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  directory
	}{
		"sssd":           {map[string]string{"etc/sssd/sssd.conf": sssd}, directory{"CORP.EXAMPLE.ORG", "sssd"}},
		"winbind":        {map[string]string{"etc/samba/smb.conf": "[global]\n security = ADS\n realm = corp.example.org\n"}, directory{"CORP.EXAMPLE.ORG", "winbind"}},
		"a file server":  {map[string]string{"etc/samba/smb.conf": "[global]\n security = user\n realm = x\n"}, directory{}},
		"local users":    {map[string]string{"etc/sssd/sssd.conf": "[sssd]\ndomains = l\n[domain/l]\nid_provider = files\n"}, directory{}},
		"nothing at all": {nil, directory{}},
	} {
		if got := findDirectory(root(t, c.files)); got != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestOnlyAServiceThatWantsADirectoryFailsAHostWithoutOne(t *testing.T) {
	alone, joined := checkJoined(t.TempDir()), checkJoined(root(t, map[string]string{"etc/sssd/sssd.conf": sssd}))
	wants := Surroundings{Expectations: Expectations{Directory: true}}
	if f := alone(t.Context(), Surroundings{}); f.Failed {
		t.Errorf("not wanted: %+v", f)
	}
	if f := alone(t.Context(), wants); !f.Failed || !strings.Contains(f.Message, "realm join") {
		t.Errorf("wanted: %+v", f)
	}
	if f := joined(t.Context(), wants); f.Failed {
		t.Errorf("joined: %+v", f)
	}
}

func TestTrustNeedsAMachineAccountWithKeys(t *testing.T) {
	t.Setenv("PATH", "") // no adcli
	for name, c := range map[string]struct {
		keytab string
		failed bool
	}{
		"no keytab": {"", true}, "not a keytab": {"hello world", true}, "a keytab": {"\x05\x02\x00\x00\x00\x40", false},
	} {
		files := map[string]string{"etc/sssd/sssd.conf": sssd}
		if c.keytab != "" {
			files["etc/krb5.keytab"] = c.keytab
		}
		if f := checkTrust(root(t, files))(t.Context(), Surroundings{}); f.Failed != c.failed {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if f := checkTrust(t.TempDir())(t.Context(), Surroundings{}); f.Failed {
		t.Errorf("a host that is not joined: %+v", f)
	}
}

func TestMetadataIsAskedForOnlyWhereItIsExpected(t *testing.T) {
	asked := 0
	body := `{"compute":{"vmId":"vm-guid"}}`
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.Header.Get("Metadata") != "true" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Write([]byte(body))
	}))
	defer srv.Close()
	check := checkMetadata(srv.URL)
	if f := check(t.Context(), Surroundings{}); f.Failed || asked != 0 {
		t.Errorf("not expected: %+v, asked %d times", f, asked)
	}
	expected := Surroundings{Expectations: Expectations{Metadata: true}}
	if f := check(t.Context(), expected); f.Failed || !strings.Contains(f.Message, "vm-guid") {
		t.Errorf("expected and there: %+v", f)
	}
	body = `{"network":{}}`
	if f := check(t.Context(), expected); !f.Failed {
		t.Errorf("without compute properties: %+v", f)
	}
	srv.Close()
	if f := check(t.Context(), expected); !f.Failed || !strings.Contains(f.Message, "169.254.169.254") {
		t.Errorf("expected and not there: %+v", f)
	}
}

func TestEveryStandardCheckHasItsNameAndRuns(t *testing.T) {
	seen := map[string]bool{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // nobody is asked for long
	t.Setenv("DESKYARD_SXS_SOCKET", filepath.Join(t.TempDir(), "none"))
	for _, c := range StandardChecks(NewStackClient(filepath.Join(t.TempDir(), "none")), NewMonitorClient(filepath.Join(t.TempDir(), "none"))) {
		seen[c.Name] = true
		if f := c.Look(ctx, Surroundings{}); f.Message == "" {
			t.Errorf("%s says nothing", c.Name)
		}
	}
	for _, want := range []string{deskyard.CheckDomainJoined, deskyard.CheckDomainTrust, deskyard.CheckSxSListener, deskyard.CheckURLs, deskyard.CheckMonitoring, deskyard.CheckMetadata, deskyard.CheckEncryption} {
		if !seen[want] {
			t.Errorf("no %s", want)
		}
	}
}
