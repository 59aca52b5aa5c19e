//go:build e2e

package desktops

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/deskyard/deskyard/e2e/desktop"
	"github.com/deskyard/deskyard/e2e/yard"
	"github.com/deskyard/deskyard/e2e/yard/yardtest"
)

// notStraight knocks at the machine's RDP port from a network beside it: nothing is
// there. A port of ours, opened in the same place, answers the same knock.
func (h *house) notStraight(t *testing.T) {
	ctx := yardtest.Deadline(t, 3*time.Minute)
	said := h.inside(ctx, t, `set -e
mkdir -p /run/systemd/network # whose manager would take the address from the interface
printf '[Match]\nName=knock\n[Link]\nUnmanaged=yes\n' >/run/systemd/network/05-knock.network
networkctl reload
ip netns add outside
ip link add knock type veth peer name door netns outside
ip addr add 10.99.0.1/24 dev knock && ip link set knock up
ip netns exec outside ip addr add 10.99.0.2/24 dev door
ip netns exec outside ip link set door up
ip netns exec outside ip route add default via 10.99.0.1
own=$(ip -4 -o addr show dev eth0 | awk '{print $4}' | cut -d/ -f1)
timeout 120 python3 -c 'import socket, time; s = socket.create_server(("0.0.0.0", 8099)); time.sleep(120)' &
for i in $(seq 300); do ss -Hltn | grep -q :8099 && break; sleep 0.2; done
ss -Hltn
knock() { ip netns exec outside timeout 5 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null && echo open || echo shut; }
echo "own address: $(knock $own 8099) $(knock $own 3389)"
echo "beside: $(knock 10.99.0.1 8099) $(knock 10.99.0.1 3389)"
echo "itself: $(timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/3389' && echo open || echo shut)"
kill %1; ip netns del outside`)
	for _, want := range []string{"own address: open shut", "beside: open shut", "itself: open"} {
		if !strings.Contains(said, want) {
			t.Errorf("the machine does not say %q: %s", want, said)
		}
	}
}

// deallocate stops the machine, with start on connect for its pool.
func (h *house) deallocate(ctx context.Context, t *testing.T) {
	t.Helper()
	_, err := h.CLI(ctx, nil, "hostpool", "update", "-g", yard.Group, "-n", yard.Pool, "--start-vm-on-connect", "true")
	must(t, err)
	_, err = h.CLI(ctx, nil, "rest", "-m", "POST", "-u", h.ID("Microsoft.Compute/virtualMachines/"+host)+"/deallocate?api-version=2024-07-01")
	must(t, err)
	stopped, cancel := context.WithTimeout(ctx, openFor)
	defer cancel()
	way, err := h.Pool.Watch(stopped, host, "Shutdown", nil)
	must(t, err)
	t.Logf("%s is deallocated: %s", host, way[len(way)-1].Status)
	running, err := h.Processes()
	must(t, err)
	if len(running) != 0 {
		t.Errorf("QEMU still runs: %s", running)
	}
}

func (h *house) startedByTheBrowser(t *testing.T) {
	ctx := yardtest.Deadline(t, madeFor)
	h.deallocate(ctx, t)
	b := h.browse(t)
	must(t, b.Do(desktop.Order{"do": "signIn", "login": upn, "password": h.ann.Password}, nil))
	began := time.Now()
	must(t, b.Do(desktop.Order{"do": "press", "button": "^Open "}, nil))
	must(t, b.Do(desktop.Order{"do": "read", "text": "is not ready yet", "within": 20_000}, nil))
	t.Logf("the page says that the desktop is not ready yet after %.1f s", time.Since(began).Seconds())
	must(t, b.Do(desktop.Order{"do": "read", "text": "Trying again in \\d+ second", "within": 5_000}, nil))
	must(t, b.Do(desktop.Order{"do": "shot", "name": "starting.png"}, nil))
	must(t, b.Do(desktop.Order{"do": "connected", "within": (4 * time.Minute).Milliseconds()}, nil))
	t.Logf("the desktop of the machine that was off is on the canvas %.1f s after the click", time.Since(began).Seconds())
	h.active(ctx, t)
}

func (h *house) startedByFreeRDP3(t *testing.T) {
	ctx := yardtest.Deadline(t, madeFor)
	freeRDP3(t)
	h.deallocate(ctx, t)
	began := time.Now()
	s := h.freeRDP3(ctx, t)
	s.desktop(ctx, t, h, "freerdp3-started")
	t.Logf("the desktop of the machine that was off is on FreeRDP 3's screen %.1f s after the file was asked for", time.Since(began).Seconds())
	h.active(ctx, t)
}
