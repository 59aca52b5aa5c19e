//go:build e2e

package machines

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/compute"
	"github.com/deskyard/deskyard/compute/qemu"
	"github.com/deskyard/deskyard/e2e/yard"
	"github.com/deskyard/deskyard/e2e/yard/yardtest"
	"github.com/deskyard/deskyard/image"
)

// guestsVariable names how many guests at once are measured: "1,2,4".
const guestsVariable = "DESKYARD_RATIO_GUESTS"

// TestRequestToAvailableOverTheBareBoot measures what issue 3 bounds by 1.15: the time
// from the request to Available, over the time that as many bare guests of the same
// image and size take to boot at once. Bare: made and started by the driver, with
// nothing to do, until systemd says that the start is finished. It judges nothing: on
// a machine with neighbours no bound would hold.
func TestRequestToAvailableOverTheBareBoot(t *testing.T) {
	list := os.Getenv(guestsVariable)
	if list == "" {
		t.Skip("takes a quarter of an hour and a quiet machine: make bench-machines")
	}
	h := open(t, "hypervisors:\n- {name: here, driver: qemu, network: user, cpuRatio: 8}\n")
	for _, text := range strings.Split(list, ",") {
		guests, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(fmt.Sprintf("%d guests", guests), func(t *testing.T) {
			ctx := yardtest.Deadline(t, 2*madeFor)
			bare := h.bare(ctx, t, guests)
			prefix := fmt.Sprintf("ra%d", guests)
			start := time.Now()
			if err := h.add(ctx, t, prefix, "--count", text); err != nil {
				t.Fatal(err)
			}
			ours := time.Since(start)
			t.Logf("%d guests at once: %.1f s from request to Available, %.1f s bare: ratio %.2f", guests, ours.Seconds(), bare.Seconds(), ours.Seconds()/bare.Seconds())
			for n := range guests {
				host := fmt.Sprintf("%s-%d", prefix, n)
				h.stages(ctx, t, host)
				if err := h.Remove(ctx, yard.Pool, host); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// stages logs when what happened in a host, by its own clock since its kernel began.
func (h *house) stages(ctx context.Context, t *testing.T, host string) {
	t.Helper()
	said, err := h.inside(ctx, host, `systemd-analyze | tr '\n' ' '; journalctl -b -o short-monotonic --no-pager -u 'deskyard*' | tail -n 40`)
	if err != nil {
		t.Error(err)
	}
	t.Logf("%s:\n%s", host, said)
}

// bare boots guests of the image with nothing to do, and returns how long it takes
// until the last has finished its start.
func (h *house) bare(ctx context.Context, t *testing.T, guests int) time.Duration {
	t.Helper()
	catalogue, err := image.Open(filepath.Join(h.Service.DataFolder(), "images"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	from, err := catalogue.Resolve(ctx, "local", deskyard.ImageReference{Publisher: h.image.Publisher, Offer: h.image.Offer, SKU: h.image.SKU, Version: h.image.Version})
	if err != nil {
		t.Fatal(err)
	}
	from.Arguments += " systemd.journald.forward_to_console=1"
	folder, err := os.MkdirTemp("", "dybare-") // short: sockets lie in it
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	owner := uuid.NewString()
	d, err := qemu.New(qemu.Options{Folder: folder, Owner: owner})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Capabilities(ctx); err != nil { // the accelerator is probed once, not for each run
		t.Fatal(err)
	}
	subnet := compute.Network{ID: "bare", Prefix: netip.MustParsePrefix("10.0.2.0/24"), Gateway: netip.MustParseAddr("10.0.2.1")}
	start := time.Now()
	waits := map[string]bool{}
	for n := range guests {
		s := compute.Spec{ID: uuid.NewString(), Owner: owner, Name: fmt.Sprintf("bare-%d", n), CPUs: 2, MemoryMB: 768, Image: from, NICs: []compute.NIC{{
			MAC: fmt.Sprintf("02:00:5e:0a:00:%02x", n+4), Network: subnet, Address: netip.AddrFrom4([4]byte{10, 0, 2, byte(n + 4)}),
		}}}
		waits[s.ID] = true
		defer func() {
			if err := d.Remove(context.WithoutCancel(ctx), s.ID); err != nil {
				t.Error(err)
			}
		}()
		if err := d.Ensure(ctx, s); err != nil {
			t.Fatal(err)
		}
		if err := d.Power(ctx, s.ID, compute.Start); err != nil {
			t.Fatal(err)
		}
	}
	h.until(ctx, t, "bare guests have started", func() bool {
		for id := range waits {
			text, err := d.Console(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "Startup finished in") {
				delete(waits, id)
			}
		}
		return len(waits) == 0
	})
	return time.Since(start)
}
