//go:build e2e

package portal

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/browser"
	"github.com/deskyard/deskyard/e2e/yard"
	"github.com/deskyard/deskyard/e2e/yard/yardtest"
)

// TestTheArticleWorksWithRealMachines is the article's walk with a hypervisor that runs
// its machines: two guests of the desktop image, on one of which Ann works.
func TestTheArticleWorksWithRealMachines(t *testing.T) {
	needs(t)
	dir, err := os.MkdirTemp("", "deskyard-portal-") // short: sockets of machines lie in it
	must(t, err)
	ctx := yardtest.Deadline(t, 20*time.Minute) // the first image takes its time
	packages, err := filepath.Abs(filepath.Join("..", "..", "dist", "packages"))
	must(t, err)
	_, err = yard.BuildImage(ctx, binary(t), packages, dir, nil)
	must(t, err)
	y, err := yard.Open(ctx, yard.Options{Binary: binary(t), Dir: dir})
	must(t, err)
	t.Cleanup(func() { yardtest.End(t, y, dir) })
	ann, err := y.Desk(ctx, "ann@deskyard.local")
	must(t, err)

	h := &house{Service: y.Service, client: y.Client, group: yard.Group, people: map[string]login{"admin": {User: y.Service.AdminUser, Password: y.Service.AdminPassword}}}
	h.places = map[string]string{"hostpool": y.ID("Microsoft.DesktopVirtualization/hostPools/" + yard.Pool)}
	h.keys = h.publicKeys(t)
	h.walk = walk{Size: []int{2, 1024}, Network: yard.VNet, Subnet: yard.Subnet, Left: []string{}, Within: (10 * time.Minute).Milliseconds(), Told: "desk-1",
		User: &login{User: ann.UPN, Password: ann.Password}}
	browser.Tell(t, "walk.mjs", h.about(t), func(ctx context.Context, want string, of json.RawMessage) (any, error) {
		if want != "machines" {
			return h.do(ctx, want, of)
		}
		folders, err := y.Machines()
		return len(folders), err
	})
}
