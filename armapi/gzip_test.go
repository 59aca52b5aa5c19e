package armapi

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestLongListsArePackedForWhoTakesThat(t *testing.T) {
	d := newDesk(t)
	d.pool("hp1", "")
	for i := range 20 {
		d.host("hp1", "sh-"+string(rune('a'+i)), true)
	}
	get := func(method, path, accept string) (*http.Response, []byte) {
		req, err := http.NewRequestWithContext(t.Context(), method, d.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer owner")
		req.Header.Set("Accept-Encoding", accept) // set by hand, it keeps the client from unpacking
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, raw
	}
	list := dv("hostPools/hp1/sessionHosts")
	plainly, plain := get("GET", list, "identity")
	resp, packed := get("GET", list, "br, gzip")
	if plainly.Header.Get("Content-Encoding") != "" || resp.Header.Get("Content-Encoding") != "gzip" || resp.Header.Get("Vary") != "Accept-Encoding" {
		t.Fatalf("%v, %v", plainly.Header, resp.Header)
	}
	z, err := gzip.NewReader(strings.NewReader(string(packed)))
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := io.ReadAll(z)
	if err != nil || string(unpacked) != string(plain) || len(packed)*3 > len(plain) {
		t.Errorf("%d bytes are %d, unpacked %d, %v", len(plain), len(packed), len(unpacked), err)
	}
	for _, other := range []struct{ method, path string }{{"GET", dv("hostPools/hp1")}, {"POST", dv("hostPools/hp1/listRegistrationKeys")}} {
		if resp, _ := get(other.method, other.path, "gzip"); resp.StatusCode != 200 || resp.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s %s: %d, %v", other.method, other.path, resp.StatusCode, resp.Header)
		}
	}
}

func TestGzipIsTakenAsAcceptEncodingSays(t *testing.T) {
	for sent, want := range map[string]bool{
		"": false, "br": false, "identity": false, "gzip": true, "deflate, GZIP": true, "*": true, "gzip;q=0": false, "gzip; q=0.5": true,
		"gzip;q=0, *": false, "*;q=0": false, "*;q=0, gzip": true, "gzip;q=much": false, "gzipped": false,
	} {
		if got := takesGzip([]string{sent}); got != want {
			t.Errorf("%q: %v", sent, got)
		}
	}
}

func FuzzTakesGzip(f *testing.F) {
	f.Add("br, gzip;q=0.5, *;q=0")
	f.Fuzz(func(t *testing.T, sent string) {
		if takesGzip([]string{sent}) && !strings.ContainsAny(sent, "*gG") {
			t.Errorf("%q takes gzip", sent)
		}
	})
}
