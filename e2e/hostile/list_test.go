//go:build e2e

package hostile

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/e2e/service"
)

// manyHosts is how many session hosts a pool may have.
const manyHosts = 10_000

func TestTenThousandHostsAreListedInPagesEachExactlyOnce(t *testing.T) {
	h := open(t)
	objectID := h.makePool(t, "pool")
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	id, err := arm.ParseID(h.pool("pool"))
	if err != nil {
		t.Fatal(err)
	}
	hosts := make([]deskyard.SessionHost, manyHosts)
	for i := range hosts {
		hosts[i] = deskyard.SessionHost{ID: id.Child("sessionHosts", fmt.Sprintf("host-%05d", i)), ObjectID: fmt.Sprintf("0be2c000-0000-4000-8000-%012d", i),
			Pool: objectID, AllowNewSession: true, Machine: machine(i), PublicKey: make([]byte, 32), RegisteredAt: time.Now().UTC(), StatusAt: time.Now().UTC()}
	}
	if err := service.SeedHosts(t.Context(), service.Database(h.dir), hosts); err != nil {
		t.Fatal(err)
	}
	if err := h.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{"", "&pageSize=997", "&pageSize=1000&isDescending=true"} {
		t.Run("with"+query, func(t *testing.T) {
			names := h.listAll(t, h.pool("pool")+"/sessionHosts?api-version="+desktops+query)
			if len(names) != manyHosts {
				t.Fatalf("%d names, not %d", len(names), manyHosts)
			}
			seen := map[string]bool{}
			for i, n := range names {
				if seen[n] {
					t.Fatalf("%s is listed twice", n)
				}
				seen[n] = true
				if i > 0 && (n > names[i-1]) == strings.Contains(query, "isDescending") {
					t.Fatalf("%s comes after %s", n, names[i-1])
				}
			}
		})
	}
}

// listAll follows nextLink to the end.
func (h *house) listAll(t *testing.T, target string) (names []string) {
	t.Helper()
	for pages := 0; target != ""; pages++ {
		if pages > manyHosts {
			t.Fatal("nextLink has no end")
		}
		var page struct {
			Value    []struct{ Name string }
			NextLink string
		}
		r := h.call(t, "GET", target, nil)
		if r.status != http.StatusOK {
			t.Fatalf("GET %s answers %d %.300s", target, r.status, r.body)
		}
		r.into(t, &page)
		for _, v := range page.Value {
			names = append(names, v.Name)
		}
		if page.NextLink != "" && !strings.HasPrefix(page.NextLink, h.Endpoint+"/") {
			t.Fatalf("nextLink %s leads elsewhere", page.NextLink)
		}
		target = strings.TrimPrefix(page.NextLink, h.Endpoint)
	}
	return names
}
