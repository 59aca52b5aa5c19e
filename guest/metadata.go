package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
)

// MetadataAddress is where Azure's machines ask for what they are.
const MetadataAddress = "169.254.169.254"

// Metadata answers the instance metadata service inside the guest, for the guest
// alone: the address is on the loopback interface. The service says what to answer.
type Metadata struct {
	mu       sync.Mutex // guards document
	document json.RawMessage
}

// Set replaces the document.
func (m *Metadata) Set(document json.RawMessage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.document = document
}

// Serve listens on the metadata address until ctx ends. The address must be there;
// see AddMetadataAddress.
func (m *Metadata) Serve(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(MetadataAddress, "80"))
	if err != nil {
		return fmt.Errorf("answer instance metadata: %w", err)
	}
	srv := &http.Server{Handler: m, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("answer instance metadata: %w", err)
	}
	return nil
}

// versionForm is a metadata version's form; Azure answers any it has published, and
// the documents do not differ in what is here.
var versionForm = regexp.MustCompile(`^20[0-9]{2}-[0-9]{2}-[0-9]{2}$`)

// metadataVersions are told to who asks which there are.
var metadataVersions = []string{"2017-12-01", "2018-10-01", "2019-06-01", "2020-09-01", "2021-02-01", "2021-12-13", "2023-07-01"}

// ServeHTTP answers as Azure's service does (article "Azure Instance Metadata
// Service"): only with the header Metadata, never through a proxy.
func (m *Metadata) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, text string) {
		answerMetadata(w, status, map[string]string{"error": text})
	}
	switch {
	case r.Method != http.MethodGet:
		refuse(http.StatusMethodNotAllowed, "Method not allowed")
		return
	case !strings.EqualFold(r.Header.Get("Metadata"), "true"):
		refuse(http.StatusBadRequest, "Bad request. Required metadata header not specified")
		return
	case r.Header.Get("X-Forwarded-For") != "":
		refuse(http.StatusBadRequest, "Bad request. A request that was forwarded is not answered")
		return
	case r.URL.Path == "/metadata/versions":
		answerMetadata(w, http.StatusOK, map[string]any{"apiVersions": metadataVersions})
		return
	}
	version := r.URL.Query().Get("api-version")
	if !versionForm.MatchString(version) {
		answerMetadata(w, http.StatusBadRequest, map[string]any{
			"error": "Bad request. api-version is invalid or was not specified in the request. For more information refer to aka.ms/azureimds", "newest-versions": metadataVersions[len(metadataVersions)-3:],
		})
		return
	}
	rest, found := strings.CutPrefix(strings.TrimSuffix(r.URL.Path, "/"), "/metadata/instance")
	if !found {
		refuse(http.StatusNotFound, "Not found")
		return
	}
	m.instance(w, rest, r.URL.Query().Get("format"), refuse)
}

// instance answers a part of the document: /compute/name.
func (m *Metadata) instance(w http.ResponseWriter, path, format string, refuse func(int, string)) {
	m.mu.Lock()
	document := m.document
	m.mu.Unlock()
	if document == nil {
		refuse(http.StatusServiceUnavailable, "The machine has not heard from its service yet")
		return
	}
	var at any
	if err := json.Unmarshal(document, &at); err != nil {
		refuse(http.StatusInternalServerError, "The service's document cannot be read")
		return
	}
	for _, part := range strings.Split(strings.Trim(path, "/"), "/") {
		if part == "" {
			continue
		}
		next, found := member(at, part)
		if !found {
			refuse(http.StatusNotFound, "Not found")
			return
		}
		at = next
	}
	if text, isText := at.(string); isText && format == "text" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(text)) // a reader that has gone needs no answer
		return
	}
	answerMetadata(w, http.StatusOK, at)
}

// member is an object's member, or a list's element.
func member(v any, name string) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, m := range v {
			if strings.EqualFold(k, name) {
				return m, true
			}
		}
	case []any:
		for i, m := range v {
			if fmt.Sprint(i) == name {
				return m, true
			}
		}
	}
	return nil, false
}

func answerMetadata(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Server", "IMDS")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a reader that has gone needs no answer
}
