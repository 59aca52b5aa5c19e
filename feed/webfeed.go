package feed

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/deskyard/deskyard/connect"
)

// collection is a workspace feed ([MS-TSWP] 2.2.2.2.5.1; schema 1.1, 2.0, 2.1).
type collection struct {
	XMLName   xml.Name    `xml:"http://schemas.microsoft.com/ts/2007/05/tswf ResourceCollection"`
	Published string      `xml:"PubDate,attr"`
	Schema    string      `xml:"SchemaVersion,attr"`
	Reconnect string      `xml:"SupportsReconnect,attr,omitempty"`
	Publisher []publisher `xml:"Publisher"`
}

type publisher struct {
	Updated     string           `xml:"LastUpdated,attr"`
	Name        string           `xml:"Name,attr"`
	ID          string           `xml:"ID,attr"`
	Description string           `xml:"Description,attr"`
	Resources   []published      `xml:"Resources>Resource"`
	Servers     []terminalServer `xml:"TerminalServers>TerminalServer"`
}

type published struct {
	ID      string   `xml:"ID,attr"`
	Alias   string   `xml:"Alias,attr"`
	Title   string   `xml:"Title,attr"`
	Updated string   `xml:"LastUpdated,attr"`
	Type    string   `xml:"Type,attr"`
	Shown   string   `xml:"ShowByDefault,attr,omitempty"`
	Raw     iconFile `xml:"Icons>IconRaw"`
	Drawn   iconFile `xml:"Icons>Icon32"`
	None    struct{} `xml:"FileExtensions"`
	Folder  folder   `xml:"Folders>Folder"`
	Hosting hosting  `xml:"HostingTerminalServers>HostingTerminalServer"`
}

type iconFile struct {
	Dimensions string `xml:"Dimensions,attr,omitempty"`
	Type       string `xml:"FileType,attr"`
	URL        string `xml:"FileURL,attr"`
}

type folder struct {
	Name string `xml:"Name,attr"`
}

type hosting struct {
	File struct {
		Extension string `xml:"FileExtension,attr"`
		URL       string `xml:"URL,attr"`
	} `xml:"ResourceFile"`
	Server struct {
		Ref string `xml:"Ref,attr"`
	} `xml:"TerminalServerRef"`
}

type terminalServer struct {
	ID      string `xml:"ID,attr"`
	Name    string `xml:"Name,attr"`
	Updated string `xml:"LastUpdated,attr"`
}

// webfeed answers the feed to who shows the cookie of a sign-in, and sends others to
// sign in: by a redirect, or by the challenge at once where a client probes for one.
func (d *Door) webfeed(w http.ResponseWriter, r *http.Request) {
	p, err := d.byCookie(r)
	switch {
	case errors.Is(err, errNoCookie) && (probes(r) || r.Header.Get("Authorization") != ""):
		if p, err = d.byNTLM(w, r); errors.Is(err, errAnswered) {
			return
		}
	case errors.Is(err, errNoCookie):
		http.Redirect(w, r, "/RDWeb/FeedLogin/WebFeedLogin.aspx?ReturnUrl=%2fRDWeb%2fFeed%2fwebfeed.aspx", http.StatusFound)
		return
	}
	if err != nil {
		d.fail(w, r, "", err)
		return
	}
	found, err := d.o.Connections.Resources(r.Context(), p)
	if err != nil {
		d.fail(w, r, "", err)
		return
	}
	schema, kind := schemaOf(r)
	if err := writeFeed(w, d.collect(found, schema), kind); err != nil {
		d.fail(w, r, "", err)
	}
}

// schemaOf is the schema that a client asks for, and the content type of such a feed.
func schemaOf(r *http.Request) (schema, kind string) {
	for _, version := range []string{"2.1", "2.0"} {
		if strings.Contains(r.Header.Get("Accept"), "radc_schema_version="+version) {
			return version, "application/x-msts-radc+xml; charset=utf-8"
		}
	}
	return "1.1", "text/xml; charset=utf-8"
}

func writeFeed(w http.ResponseWriter, c collection, kind string) error {
	body, err := xml.Marshal(c)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", kind)
	_, _ = io.WriteString(w, xml.Header+string(body)) // the client is gone if this fails
	return nil
}

// probes reports whether a client is one of those that try the feed's address and look
// for a challenge: the Windows App on macOS, iOS and Android.
func probes(r *http.Request) bool {
	agent := strings.ToLower(r.UserAgent())
	return strings.Contains(agent, "rdcore") || strings.HasPrefix(agent, "com.microsoft.rdc.")
}

// collect makes the feed: a publisher for each workspace.
func (d *Door) collect(found []connect.Workspace, schema string) collection {
	now := d.now().UTC().Format(time.RFC3339)
	c := collection{Published: now, Schema: schema}
	if schema != "1.1" {
		c.Reconnect = "false" // or Windows asks for [MS-RDWR]
	}
	for _, f := range found {
		p := publisher{Updated: now, Name: f.Name, ID: f.ObjectID, Description: f.Description}
		servers := map[string]bool{}
		for _, x := range f.Resources {
			p.Resources = append(p.Resources, publish(x, now))
			if !servers[x.Pool.Key()] {
				servers[x.Pool.Key()] = true
				p.Servers = append(p.Servers, terminalServer{ID: x.Pool.Name(), Name: x.PoolName, Updated: now})
			}
		}
		c.Publisher = append(c.Publisher, p)
	}
	return c
}

func publish(x connect.Resource, now string) published {
	icon := "/connect/v1/icons/" + iconName(x)
	p := published{
		ID: x.ObjectID, Alias: x.ID.Name(), Title: x.Name, Updated: now, Type: x.Kind, Shown: "True",
		Raw: iconFile{Type: "Ico", URL: icon + ".ico"}, Drawn: iconFile{Dimensions: "32x32", Type: "Png", URL: icon + ".png"}, Folder: folder{"/"},
	}
	p.Hosting.File.Extension, p.Hosting.File.URL = ".rdp", "/RDWeb/Resources/"+x.ObjectID+".rdp"
	p.Hosting.Server.Ref = x.Pool.Name()
	return p
}

// login is where clients of the feed sign in; the answer's body is the cookie's value.
func (d *Door) login(w http.ResponseWriter, r *http.Request) {
	p, err := d.byNTLM(w, r)
	if errors.Is(err, errAnswered) {
		return
	}
	if err != nil {
		d.fail(w, r, "", err)
		return
	}
	value := d.cookieFor(p)
	http.SetCookie(w, &http.Cookie{Name: feedCookie, Value: value, Path: "/", MaxAge: int(cookieLife.Seconds()), Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	w.Header().Set("Content-Type", "application/x-msts-webfeed-login; charset=utf-8")
	_, _ = io.WriteString(w, value) // the client is gone if this fails
}

// webfeedFile answers a connection file of the feed. Its clients keep it for a day, so it
// carries a ticket for as long as tickets of files live, and the client asks for the file
// again when it is over.
func (d *Door) webfeedFile(w http.ResponseWriter, r *http.Request) {
	p, err := d.byCookie(r)
	if errors.Is(err, errNoCookie) {
		if p, err = d.byNTLM(w, r); errors.Is(err, errAnswered) {
			return
		}
	}
	if err == nil {
		err = d.file(w, r, p)
	}
	if err != nil {
		d.fail(w, r, "", err)
	}
}
