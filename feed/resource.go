package feed

import (
	"fmt"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/connect"
)

// file answers a connection file: "{object id}.rdp", or ".rdpw" for clients of AVD's own
// request.
func (d *Door) file(w http.ResponseWriter, r *http.Request, p deskyard.Principal) error {
	name := r.PathValue("file")
	kind := path.Ext(name)
	if kind != ".rdp" && kind != ".rdpw" {
		return arm.Errorf(arm.Missing, "ResourceNotFound", "Connection files end in .rdp or .rdpw.")
	}
	x, workspace, err := d.find(r, p, strings.TrimSuffix(name, kind))
	if err != nil {
		return err
	}
	f := d.describe(x, workspace)
	if kind == ".rdp" {
		ticket, _ := d.o.Connections.FileTicket(p, x.ID)
		f.SetNumber("gatewaycredentialssource", 5) // a cookie
		f.Set("gatewayaccesstoken", ticket)
		f.Set("username", p.Name)
	}
	return d.send(w, f, x.Name+kind)
}

// describe is a connection file without what makes it one person's.
func (d *Door) describe(x connect.Resource, workspace connect.Workspace) *File {
	f := &File{}
	f.SetNumber("autoreconnection enabled", 1) // FreeRDP waits for a machine that starts only then
	f.Merge(x.Properties)
	f.Set("full address", hostLabel(x))
	f.Set("gatewayhostname", withPort(d.gateway.Host))
	f.SetNumber("gatewayusagemethod", 1) // always
	f.SetNumber("gatewayprofileusagemethod", 1)
	f.SetNumber("promptcredentialonce", 1)
	f.SetNumber("use redirection server name", 1)
	f.Set("workspace id", workspace.ObjectID)
	f.Set("loadbalanceinfo", loadBalanceInfo(x))
	f.Set("remoteapplicationprogram", "||"+x.ID.Name())
	switch {
	case x.Kind != connect.KindRemoteApp:
	case x.Application.Shell() != "":
		f.Set("alternate shell", x.Application.Shell())
	default:
		f.SetNumber("remoteapplicationmode", 1)
		f.Set("remoteapplicationname", x.Name)
		if x.Application.Arguments != "" {
			f.Set("remoteapplicationcmdline", x.Application.Arguments)
		}
	}
	return f
}

// loadBalanceInfo names the resource in AVD's form; clients of its own request send it.
func loadBalanceInfo(x connect.Resource) string {
	return "mth://deskyard/" + x.Group.Name() + "/" + x.ObjectID
}

// ResourceOf reads the object id of the resource out of what loadBalanceInfo made.
func ResourceOf(info string) (objectID string, ok bool) {
	rest, ours := strings.CutPrefix(info, "mth://deskyard/")
	_, objectID, whole := strings.Cut(rest, "/")
	return objectID, ours && whole && objectID != "" && !strings.Contains(objectID, "/")
}

// hostLabel is the name that clients show as the host's: which one it will be is decided
// when the file is opened.
func hostLabel(x connect.Resource) string {
	label := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, x.Pool.Name()+"-"+x.ID.Name())
	return strings.Trim(label[:min(len(label), 63)], "-")
}

func withPort(host string) string {
	if strings.Contains(host, ":") {
		return host
	}
	return host + ":443"
}

// send signs a file and answers it as a download.
func (d *Door) send(w http.ResponseWriter, f *File, name string) error {
	if d.o.Signer != nil {
		key, chain, err := d.o.Signer()
		if err != nil {
			return fmt.Errorf("sign a connection file: %w", err)
		}
		if err := f.Sign(key, chain); err != nil {
			return err
		}
	}
	w.Header().Set("Content-Type", "application/x-rdp")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	_, _ = w.Write(f.Bytes()) // the client is gone if this fails
	return nil
}
