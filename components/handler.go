package components

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/deskyard/deskyard/bootloader"
)

const blobPrefix = "/agent/v1/components/blobs/"

// Handler serves /agent/v1/components/ to boot loaders and /downloads/ to people.
// Nothing in it is secret: it needs no credential, as a machine that is to become a
// session host has none yet.
func (c *Catalogue) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /agent/v1/components/{component}/{version}/{os}/{arch}/manifest", c.serveManifest)
	mux.HandleFunc("GET "+blobPrefix+"{digest}", c.serveBlob)
	mux.HandleFunc("GET /downloads/{installer}", c.serveInstaller)
	return mux
}

// problem answers with an error body in ARM's form, as the rest of the service does.
func problem(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	// A caller that has gone away needs no answer.
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"code": code, "message": message}})
}

// find is the package that a request is about; it answers for itself when there is none.
func (c *Catalogue) find(w http.ResponseWriter, r *http.Request, is func(Package) bool) (Package, bool) {
	all, err := c.packages(r.Context())
	if err != nil {
		c.o.Log.Error("catalogue not read", "error", err)
		problem(w, http.StatusServiceUnavailable, "ServiceUnavailable", "The catalogue of components cannot be read now. Try again later.")
		return Package{}, false
	}
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i], true
	}
	problem(w, http.StatusNotFound, "ComponentNotFound", "There is no such component version.")
	return Package{}, false
}

func (c *Catalogue) serveManifest(w http.ResponseWriter, r *http.Request) {
	v := r.PathValue
	p, ok := c.find(w, r, func(p Package) bool {
		return p.Format == Archive && p.Component == v("component") && p.Version == v("version") && p.OS == v("os") && p.Arch == v("arch") && p.Withdrawn.IsZero()
	})
	if !ok {
		return
	}
	signed, err := bootloader.Sign(c.o.Key, bootloader.Release{Manifest: p.Manifest, Archive: p.Blob}, blobPrefix+p.Blob.SHA256)
	var body []byte
	if err == nil {
		body, err = json.Marshal(signed)
	}
	if err != nil {
		c.o.Log.Error("manifest not signed", "component", p.Component, "version", p.Version, "error", err)
		problem(w, http.StatusInternalServerError, "InternalServerError", "The manifest could not be signed.")
		return
	}
	sum := sha256.Sum256(body)
	etag := `"` + hex.EncodeToString(sum[:16]) + `"`
	w.Header().Set("ETag", etag)
	w.Header().Set("Cache-Control", "no-cache")
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(body) // a caller that has gone away needs no answer
}

// serveBlob serves an archive by its digest, with ranges, so that a host goes on
// where its download broke off.
func (c *Catalogue) serveBlob(w http.ResponseWriter, r *http.Request) {
	p, ok := c.find(w, r, func(p Package) bool { return p.Format == Archive && p.Blob.SHA256 == r.PathValue("digest") })
	if !ok {
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	c.serveFile(w, r, p, "application/gzip")
}

func (c *Catalogue) serveFile(w http.ResponseWriter, r *http.Request, p Package, contentType string) {
	f, err := os.Open(c.blobPath(p.Blob.SHA256))
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			c.o.Log.Error("package not read", "file", p.FileName, "error", err)
		} else {
			c.o.Log.Error("package file missing on this node; share the components folder or publish the file here, too", "file", p.FileName)
		}
		problem(w, http.StatusServiceUnavailable, "ComponentUnavailable", "The package is listed, and its file is not on this node. Try again later.")
		return
	}
	defer f.Close()
	w.Header().Set("ETag", `"`+p.Blob.SHA256+`"`)
	w.Header().Set("Content-Type", contentType)
	http.ServeContent(w, r, "", p.Published, f)
}

var contentTypes = map[Format]string{Deb: "application/vnd.debian.binary-package", RPM: "application/x-rpm", MSI: "application/x-msi"}

// serveInstaller serves the newest installer in production, for people and scripts.
// The published download script takes what follows the first "=" of
// Content-Disposition as the file's name and writes the body of this one answer to
// it: so there is one "=", no redirect, no range and no compression.
func (c *Catalogue) serveInstaller(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	system, arch, format := orElse(q.Get("os"), "linux"), orElse(q.Get("arch"), "amd64"), Format(q.Get("format"))
	if format == "" {
		format = Deb
		if system == "windows" {
			format = MSI
		}
	}
	all, err := c.packages(r.Context())
	if err != nil {
		c.o.Log.Error("catalogue not read", "error", err)
		problem(w, http.StatusServiceUnavailable, "ServiceUnavailable", "The catalogue of components cannot be read now. Try again later.")
		return
	}
	name := strings.TrimSuffix(r.PathValue("installer"), "/")
	p, ok := newest(all, name, system, arch, format, Production)
	if !ok || format == Archive {
		problem(w, http.StatusNotFound, "InstallerNotFound",
			"There is no such installer in production. Ask for /downloads/agent or /downloads/bootloader with os=linux or windows, arch=amd64 or arm64, format=deb, rpm or msi.")
		return
	}
	r = r.Clone(r.Context())
	r.Header.Del("Range")
	w.Header().Set("Content-Disposition", "attachment; filename="+p.FileName)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	c.serveFile(w, r, p, contentTypes[format])
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
