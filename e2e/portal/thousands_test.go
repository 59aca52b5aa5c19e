//go:build e2e

package portal

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/e2e/service"
)

// many is how many hosts the crowded pool has.
const many = 10_000

func TestAListOfTenThousandHostsIsQuick(t *testing.T) {
	h := open(t)
	h.crowd(t)
	h.tell(t, "thousands.mjs")
}

// crowd makes a pool of many hosts, which the store is given directly.
func (h *house) crowd(t *testing.T) {
	t.Helper()
	must(t, h.client.CreateGroup(t.Context(), group))
	h.places["hostpool"] = h.path(desktops + "hostPools/hp1")
	var pool struct{ Properties struct{ ObjectID string } }
	must(t, h.client.Do(t.Context(), http.MethodPut, h.places["hostpool"]+"?api-version=2024-04-03", object{"location": "local", "properties": object{
		"hostPoolType": "Pooled", "loadBalancerType": "BreadthFirst", "preferredAppGroupType": "Desktop", "maxSessionLimit": 16}}, &pool))
	id, err := arm.ParseID(h.places["hostpool"])
	must(t, err)
	must(t, h.Stop())
	key, _, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	now := time.Now().UTC()
	hosts := make([]deskyard.SessionHost, many)
	for i := range hosts {
		name := fmt.Sprintf("desk-%05d", i)
		hosts[i] = deskyard.SessionHost{
			ID: id.Child("sessionHosts", name), ObjectID: uuid.NewString(), Pool: pool.Properties.ObjectID, AllowNewSession: i%7 != 0, RegisteredAt: now, StatusAt: now, PublicKey: key,
			Machine: deskyard.Machine{Hostname: name, MachineID: fmt.Sprintf("%032x", i+1), SMBIOSID: uuid.NewString(), OS: "linux", Arch: "amd64", OSVersion: "Debian GNU/Linux 12 (bookworm)"},
			Report:  deskyard.HostReport{At: now, AgentVersion: "1.0.0", SxSVersion: "1.0.0", OSVersion: "12", SessionsKnown: true},
		}
	}
	must(t, service.SeedHosts(t.Context(), service.Database(h.dir), hosts))
	must(t, h.Restart(t.Context()))
}
