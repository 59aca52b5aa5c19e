package bootloader

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Fetcher gets bytes from the service.
type Fetcher interface {
	// Fetch opens path on the service. It asks to begin at from and says where the
	// body really begins: at from, or at 0 where the service does not do ranges.
	Fetch(ctx context.Context, path string, from int64) (body io.ReadCloser, at int64, err error)
}

// HTTPFetcher fetches from the first of several base URLs that answers.
type HTTPFetcher struct {
	Client *http.Client
	Bases  []string
}

// Fetch implements Fetcher.
func (h HTTPFetcher) Fetch(ctx context.Context, path string, from int64) (io.ReadCloser, int64, error) {
	err := errors.New("no address of the service is known")
	var failed []error
	for _, base := range h.Bases {
		var body io.ReadCloser
		var at int64
		if body, at, err = h.fetchFrom(ctx, base, path, from); err == nil {
			return body, at, nil
		}
		failed = append(failed, err)
	}
	if len(failed) > 0 {
		err = errors.Join(failed...)
	}
	return nil, 0, err
}

func (h HTTPFetcher) fetchFrom(ctx context.Context, base, path string, from int64) (io.ReadCloser, int64, error) {
	url := strings.TrimSuffix(base, "/") + path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("fetch %s: %w", url, err)
	}
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	resp, err := h.Client.Do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("fetch %s: %w", url, err)
	}
	switch {
	case resp.StatusCode == http.StatusOK:
		return resp.Body, 0, nil
	case resp.StatusCode == http.StatusPartialContent && from > 0 && strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", from)):
		return resp.Body, from, nil
	}
	resp.Body.Close()
	return nil, 0, fmt.Errorf("fetch %s: the service answers %s", url, resp.Status)
}

// ServiceFetcher fetches from the service that Read names, read anew each time so
// that a changed address or CA needs no restart.
type ServiceFetcher struct {
	Read func() (Service, error)
}

// Fetch implements Fetcher.
func (s ServiceFetcher) Fetch(ctx context.Context, path string, from int64) (io.ReadCloser, int64, error) {
	service, err := s.Read()
	if err != nil {
		return nil, 0, err
	}
	trusted, err := service.trust()
	if err != nil {
		return nil, 0, err
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{
			ServerName: agentServerName, MinVersion: tls.VersionTLS12, NextProtos: []string{agentProtocol, "http/1.1"},
			// The standard verification would ask the clock and the system's roots;
			// VerifyConnection replaces it whole.
			InsecureSkipVerify: true, VerifyConnection: trusted.verify,
		},
		TLSHandshakeTimeout: 15 * time.Second, ResponseHeaderTimeout: 30 * time.Second,
		DisableKeepAlives: true, DisableCompression: true,
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return HTTPFetcher{Client: client, Bases: service.BrokerURIs}.Fetch(ctx, path, from)
}

// rejected marks a package that arrived and must not be used. Fetching it again at
// once would bring the same.
type rejected struct{ error }

func (r rejected) Unwrap() error { return r.error }

// download brings releases to this machine.
type download struct {
	fetcher Fetcher
	key     func() (ed25519.PublicKey, error)
	dir     string // partial and whole archives, by digest
	os      string
	arch    string
}

// release fetches and verifies the manifest of a desired version.
func (d download) release(ctx context.Context, want Desired) (r Release, location string, err error) {
	key, err := d.key()
	if err != nil {
		return r, "", err
	}
	body, at, err := d.fetcher.Fetch(ctx, want.Manifest, 0)
	if err != nil {
		return r, "", err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, 2*maxManifest+1))
	if err != nil || at != 0 {
		return r, "", errors.Join(fmt.Errorf("fetch manifest %s", want.Manifest), err)
	}
	r, location, err = OpenRelease(key, b)
	if err != nil {
		return r, "", rejected{fmt.Errorf("manifest of %s %s: %w", want.Component, want.Version, err)}
	}
	if r.Component != want.Component || r.Version != want.Version {
		return r, "", rejected{fmt.Errorf("manifest for %s %s is of %s %s", want.Component, want.Version, r.Component, r.Version)}
	}
	if r.OS != d.os || r.Arch != d.arch {
		return r, "", rejected{fmt.Errorf("%s %s is for %s/%s; this machine is %s/%s", r.Component, r.Version, r.OS, r.Arch, d.os, d.arch)}
	}
	return r, location, nil
}

// archive fetches a release's archive, going on where an earlier attempt broke off,
// and returns it open at its start, its digest checked. The caller closes and
// removes it.
func (d download) archive(ctx context.Context, r Release, location string) (*os.File, error) {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, fmt.Errorf("keep download: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(d.dir, r.Archive.SHA256), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keep download: %w", err)
	}
	if err := d.fill(ctx, f, r, location); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	h := sha256.New()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := io.Copy(h, f); err != nil {
		return nil, errors.Join(fmt.Errorf("read download: %w", err), f.Close())
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != r.Archive.SHA256 {
		err := rejected{fmt.Errorf("archive of %s %s has SHA-256 %s; %s was signed", r.Component, r.Version, got, r.Archive.SHA256)}
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// fill downloads until f has the signed size.
func (d download) fill(ctx context.Context, f *os.File, r Release, location string) error {
	have, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("keep download: %w", err)
	}
	if have == r.Archive.Size {
		return nil
	}
	if have > r.Archive.Size {
		have = 0
	}
	body, at, err := d.fetcher.Fetch(ctx, location, have)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := f.Truncate(at); err != nil {
		return fmt.Errorf("keep download: %w", err)
	}
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		return fmt.Errorf("keep download: %w", err)
	}
	n, err := io.Copy(f, io.LimitReader(body, r.Archive.Size-at+1))
	if err != nil {
		return fmt.Errorf("fetch %s: %w", location, err)
	}
	switch got := at + n; {
	case got > r.Archive.Size:
		return errors.Join(rejected{fmt.Errorf("archive of %s %s is longer than the %d bytes signed", r.Component, r.Version, r.Archive.Size)}, f.Truncate(0))
	case got < r.Archive.Size:
		return fmt.Errorf("fetch %s: broke off after %d of %d bytes", location, got, r.Archive.Size)
	}
	return nil
}
