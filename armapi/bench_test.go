package armapi

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// benchService has n resources and a bucket that does not run dry.
func benchService(b *testing.B, n int) *service {
	b.Helper()
	f := newService(b, func(o *Options) {
		o.Now = time.Now
		o.Throttle = Throttle{PerSecond: 1e9, Burst: 1e9}
	})
	f.group("rg1")
	for i := range n {
		f.maker(fmt.Sprintf("hp%05d", i))
	}
	return f
}

func BenchmarkGet(b *testing.B) {
	f := benchService(b, 1)
	id := arm.MustParseID(makers + "/hp00000")
	b.Run("store", func(b *testing.B) {
		for b.Loop() {
			if _, err := f.store.Resource(b.Context(), id); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("api", func(b *testing.B) {
		for b.Loop() {
			f.serveOne(b, "GET", makers+"/hp00000", "api-version=2024-04-03", "", 200)
		}
	})
}

func BenchmarkPut(b *testing.B) {
	f := benchService(b, 1)
	for b.Loop() {
		f.serveOne(b, "PUT", makers+"/hp00000", "api-version=2024-04-03", `{"location":"eastus","properties":{"color":"red"}}`, 200)
	}
}

func BenchmarkListPageOf1000(b *testing.B) {
	f := benchService(b, 1000)
	scope := arm.MustParseID(homeGroup)
	b.Run("store", func(b *testing.B) {
		for b.Loop() {
			p, err := f.store.Resources(b.Context(), deskyard.ResourceQuery{Scope: scope, Type: "Test.Widgets/widgetMakers", Limit: 1000})
			if err != nil || len(p.Items) != 1000 {
				b.Fatal(len(p.Items), err)
			}
		}
	})
	b.Run("api", func(b *testing.B) {
		for b.Loop() {
			f.serveOne(b, "GET", makers, "api-version=2024-04-03&pageSize=1000", "", 200)
		}
	})
}

func (f *service) serveOne(b *testing.B, method, path, query, body string, want int) {
	req := httptest.NewRequest(method, "https://desk.example/", strings.NewReader(body))
	req.URL.Path, req.URL.RawQuery = path, query
	req.Header.Set("Authorization", "Bearer admin")
	w := httptest.NewRecorder()
	f.server.Handler().ServeHTTP(w, req)
	if w.Code != want {
		b.Fatalf("%s %s answers %d: %s", method, path, w.Code, w.Body)
	}
}
