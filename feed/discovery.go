package feed

import (
	"encoding/xml"
	"io"
	"net/http"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// discoveryPath is where clients that bring a bearer token look for workspaces, as at
// AVD's own address:
//
//	GET discoveryPath                             TenantFeedURLs: one feed, of this tenant
//	GET discoveryPath/tenants/{tenant}/webfeed    ResourceCollection, as the webfeed's
//	GET discoveryPath/tenants/{workspace}/rdps/{object id}.rdp
//
// Their connection files have no ticket: such clients ask for the connection with their
// token (avdPath).
const discoveryPath = "/api/arm/feeddiscovery"

// feeds is the discovery document of AVD's (its own schema; [MS-TSWP] has none).
type feeds struct {
	XMLName xml.Name `xml:"http://schemas.microsoft.com/ts/2014/03/tswfdiscovery TenantFeedURLs"`
	Tenants []tenant `xml:"TenantFeedURL"`
}

type tenant struct {
	ID   string `xml:"TenantId,attr"`
	Name string `xml:"TenantDisplayName,attr"`
	URL  string `xml:"FeedURL,attr"`
}

// handleDiscovery adds the paths below discoveryPath.
func (d *Door) handleDiscovery(mux *http.ServeMux) {
	mux.HandleFunc("GET "+discoveryPath, d.discovering(d.discover))
	mux.HandleFunc("GET "+discoveryPath+"/webfeed.aspx", d.discovering(d.armFeed)) // as some spell it
	mux.HandleFunc("GET "+discoveryPath+"/tenants/{tenant}/webfeed", d.discovering(d.armFeed))
	mux.HandleFunc("GET "+discoveryPath+"/tenants/{workspace}/rdps/{file}", d.discovering(d.armFile))
}

// discovering is signedIn, and shows those the way who know no tokens: the clients of the
// workspace feed, to which people may give AVD's address out of habit.
func (d *Door) discovering(f func(http.ResponseWriter, *http.Request, deskyard.Principal) error) http.HandlerFunc {
	let := d.signedIn(f)
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" && (probes(r) || strings.HasPrefix(r.UserAgent(), "TSWorkspace/")) {
			http.Redirect(w, r, "/RDWeb/Feed/webfeed.aspx", http.StatusFound)
			return
		}
		let(w, r)
	}
}

// discover answers which feeds there are for the user.
func (d *Door) discover(w http.ResponseWriter, r *http.Request, _ deskyard.Principal) error {
	body, err := xml.Marshal(feeds{Tenants: []tenant{{ID: d.o.TenantID, Name: d.o.Publisher, URL: d.base() + discoveryPath + "/tenants/" + d.o.TenantID + "/webfeed"}}})
	if err != nil {
		return err
	}
	kind := "text/xml; charset=utf-8"
	if strings.Contains(r.Header.Get("Accept"), "application/x-msts-radc-discovery+xml") {
		kind = "application/x-msts-radc-discovery+xml; charset=utf-8"
	}
	w.Header().Set("Content-Type", kind)
	_, _ = io.WriteString(w, xml.Header+string(body)) // the client is gone if this fails
	return nil
}

// armFeed answers the user's feed; whatever leads to files and icons is a whole URL.
func (d *Door) armFeed(w http.ResponseWriter, r *http.Request, p deskyard.Principal) error {
	if t := r.PathValue("tenant"); t != "" && !strings.EqualFold(t, d.o.TenantID) {
		return arm.Errorf(arm.Missing, "TenantNotFound", "This service has no such tenant: ask %s%s for the feed's address.", d.base(), discoveryPath)
	}
	found, err := d.o.Connections.Resources(r.Context(), p)
	if err != nil {
		return err
	}
	schema, kind := schemaOf(r)
	c := d.collect(found, schema)
	for _, p := range c.Publisher {
		for i := range p.Resources {
			x := &p.Resources[i]
			x.Raw.URL, x.Drawn.URL = d.base()+x.Raw.URL, d.base()+x.Drawn.URL
			x.Hosting.File.URL = d.base() + discoveryPath + "/tenants/" + p.ID + "/rdps/" + x.ID + ".rdp"
		}
	}
	return writeFeed(w, c, kind)
}

// armFile answers a connection file for a client of AVD's own request.
func (d *Door) armFile(w http.ResponseWriter, r *http.Request, p deskyard.Principal) error {
	id, isFile := strings.CutSuffix(r.PathValue("file"), ".rdp")
	x, workspace, err := d.find(r, p, id)
	if err != nil {
		return err
	}
	if !isFile || !strings.EqualFold(r.PathValue("workspace"), workspace.ObjectID) {
		return arm.Errorf(arm.Missing, "ResourceNotFound", "The workspace has no such connection file. Refresh the feed.")
	}
	f := d.describe(x, workspace)
	f.Set("resourceprovider", "arm") // FreeRDP takes its way through AVD's door by this
	f.Set("username", p.Name)
	return d.send(w, f, x.Name+".rdp")
}

// base is the service's own address, without a slash at its end.
func (d *Door) base() string { return strings.TrimRight(d.o.PublicURL, "/") }
