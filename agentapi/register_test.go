package agentapi

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/reverse"
)

func TestAMachineWithAValidKeyBecomesASessionHost(t *testing.T) {
	d := openDoor(t)
	k, tok := d.key(d.pool("hp", nil), deskyard.KeyLimits{})
	g := newGuest("vm-1")
	out := d.mustRegister(g, tok)
	h := d.host(out.HostID)
	if h.ID.String() != out.ResourceID || h.ID.Name() != "vm-1" || h.EnrolledBy != k.ID || !h.AllowNewSession || h.Update.State != "Initial" {
		t.Fatalf("stored host = %+v", h)
	}
	if out.TenantID != "tenant-1" || out.CAPem != d.caPem || out.ComponentsKey == "" || len(out.BrokerURIs) != 1 {
		t.Fatalf("answer = %+v", out)
	}
	if st, _ := h.Status(d.Lease(out.HostID), d.clock.now()); st != deskyard.StatusUnavailable {
		t.Fatalf("status before the first link is %s", st)
	}
	if e := d.audited(registerAction); len(e) != 1 || !strings.Contains(e[0].Detail, k.ID) || e[0].Status != 200 {
		t.Fatalf("audit = %+v", e)
	}
}

func TestARepeatedRegistrationKeepsTheHostAndCostsNoSecondUse(t *testing.T) {
	d := openDoor(t)
	_, tok := d.key(d.pool("hp", nil), deskyard.KeyLimits{MaxUses: 1})
	g := newGuest("vm-1")
	first := d.mustRegister(g, tok)
	if again := d.mustRegister(g, tok); again.HostID != first.HostID {
		t.Fatalf("host id changed from %s to %s", first.HostID, again.HostID)
	}
	d.wantRefused(newGuest("vm-2"), tok, "EXHAUSTED_REGISTRATION_TOKEN")
}

func TestAReinstalledMachineKeepsItsRecordDrainAndAssignment(t *testing.T) {
	d := openDoor(t)
	_, tok := d.key(d.pool("hp", nil), deskyard.KeyLimits{})
	g := newGuest("vm-1")
	first := d.mustRegister(g, tok)
	err := d.db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error {
		h, err := tx.SessionHostByObjectID(ctx, first.HostID)
		if err != nil {
			return err
		}
		h.AllowNewSession, h.AssignedUser = false, "ada@example.org"
		h.RevokedAt, h.RevokedReason = time.Now(), "test"
		_, err = tx.PutSessionHost(ctx, h)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	fresh := newGuest("VM-1")
	machine := g.machine
	fresh.machine = machine
	if again := d.mustRegister(fresh, tok); again.HostID != first.HostID {
		t.Fatal("the machine got another record")
	}
	if h := d.host(first.HostID); h.AllowNewSession || h.AssignedUser != "ada@example.org" || !h.RevokedAt.IsZero() {
		t.Fatalf("after adoption: %+v", h)
	}
}

func TestBadKeysAreRefusedByTheirOwnCodes(t *testing.T) {
	d := openDoor(t)
	hp := d.pool("hp", nil)
	k, tok := d.key(hp, deskyard.KeyLimits{})
	g := newGuest("vm-1")

	t.Run("forged", func(t *testing.T) {
		other := openDoor(t)
		_, forged := other.key(hp, deskyard.KeyLimits{})
		d.wantRefused(g, forged, "INVALID_REGISTRATION_TOKEN")
	})
	t.Run("of a pool that is gone", func(t *testing.T) {
		gone := d.pool("gone", nil)
		_, tok := d.key(gone, deskyard.KeyLimits{})
		if err := d.db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error { return tx.DeleteResource(ctx, gone.ID) }); err != nil {
			t.Fatal(err)
		}
		d.wantRefused(g, tok, "INVALID_REGISTRATION_TOKEN")
	})
	t.Run("of a pool made anew", func(t *testing.T) {
		gone := d.pool("anew", nil)
		k, tok := d.key(gone, deskyard.KeyLimits{})
		if err := d.db.Write(t.Context(), func(ctx context.Context, tx deskyard.Tx) error { return tx.DeleteResource(ctx, gone.ID) }); err != nil {
			t.Fatal(err)
		}
		d.pool("anew", nil)
		d.putKey(k)
		d.wantRefused(g, tok, "INVALID_REGISTRATION_TOKEN")
	})
	t.Run("of another pool than the record's", func(t *testing.T) {
		k2, tok2 := d.key(d.pool("other", nil), deskyard.KeyLimits{})
		k2.Pool = k.Pool
		d.putKey(k2)
		d.wantRefused(g, tok2, "INVALID_REGISTRATION_TOKEN")
	})
	t.Run("limited to other names", func(t *testing.T) {
		_, tok := d.key(hp, deskyard.KeyLimits{NamePattern: "web-*"})
		d.wantRefused(g, tok, "INVALID_REGISTRATION_TOKEN")
	})
	t.Run("limited to other addresses", func(t *testing.T) {
		_, tok := d.key(hp, deskyard.KeyLimits{SourceCIDR: "10.9.0.0/16"})
		d.wantRefused(g, tok, "INVALID_REGISTRATION_TOKEN")
	})
	t.Run("revoked", func(t *testing.T) {
		k, tok := d.key(hp, deskyard.KeyLimits{})
		k.RevokedAt = time.Now()
		d.putKey(k)
		d.wantRefused(g, tok, "INVALID_REGISTRATION_TOKEN")
	})
	t.Run("replayed by one who saw the request", func(t *testing.T) {
		thief := newGuest("vm-1")
		req := g.request(tok)
		req.PublicKey = thief.request(tok).PublicKey
		if _, _, code := d.post(req); code != "INVALID_PROOF" {
			t.Fatalf("code %q", code)
		}
	})
	t.Run("expired", func(t *testing.T) {
		d.clock.advance(3 * time.Hour)
		d.wantRefused(g, tok, "EXPIRED_REGISTRATION_TOKEN")
	})
}

func TestANameThatAnotherMachineHasIsRefused(t *testing.T) {
	d := openDoor(t)
	_, tok := d.key(d.pool("hp", nil), deskyard.KeyLimits{})
	g := newGuest("vm-1")
	d.mustRegister(g, tok)
	d.wantRefused(newGuest("vm-1"), tok, "NAME_ALREADY_REGISTERED")
	copied := newGuest("vm-1")
	copied.machine.MachineID = g.machine.MachineID
	d.wantRefused(copied, tok, "NAME_ALREADY_REGISTERED")
}

func TestOneOfAHundredMachinesOfOneNameGetsIt(t *testing.T) {
	d := openDoor(t)
	hp := d.pool("hp", nil)
	k, tok := d.key(hp, deskyard.KeyLimits{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	codes := map[string]int{}
	for range 100 {
		wg.Go(func() {
			_, _, code := d.post(newGuest("vm-1").request(tok))
			mu.Lock()
			defer mu.Unlock()
			codes[code]++
		})
	}
	wg.Wait()
	if codes[""] != 1 || codes["NAME_ALREADY_REGISTERED"] != 99 {
		t.Fatalf("answers by code: %v", codes)
	}
	if k, err := d.db.RegistrationKey(t.Context(), k.ID); err != nil || k.Uses != 1 {
		t.Fatalf("the key counts %d uses, %v", k.Uses, err)
	}
}

func TestAPoolKeepsToOneSubstrateAndOneDirectory(t *testing.T) {
	d := openDoor(t)
	hp := d.pool("hp", nil)
	_, tok := d.key(hp, deskyard.KeyLimits{})
	azure := newGuest("vm-1")
	azure.machine.Kind, azure.machine.Identity, azure.machine.FQDN = "Azure", "ad:CORP.EXAMPLE.ORG", "vm-1.corp.example.org"
	out := d.mustRegister(azure, tok)
	if name := d.host(out.HostID).ID.Name(); name != "vm-1.corp.example.org" {
		t.Errorf("a joined host is called %q", name)
	}
	hci := newGuest("vm-2")
	hci.machine.Kind, hci.machine.Identity = "AzureStackHCI", "ad:CORP.EXAMPLE.ORG"
	d.wantRefused(hci, tok, "SUBSTRATE_MISMATCH")
	alone := newGuest("vm-3")
	alone.machine.Kind = "Azure"
	d.wantRefused(alone, tok, "IDENTITY_PROVIDER_MISMATCH")

	mixed := d.pool("mixed", func(_ *deskyard.HostPool, r *deskyard.Resource) {
		r.Envelope.Tags = map[string]string{mixedIdentityTag: "true"}
	})
	_, tok = d.key(mixed, deskyard.KeyLimits{})
	d.mustRegister(azure, tok)
	d.mustRegister(alone, tok)
}

func TestWhatIsNoRegistrationIsRefused(t *testing.T) {
	d := openDoor(t)
	_, tok := d.key(d.pool("hp", nil), deskyard.KeyLimits{})
	if _, status, code := d.postBytes([]byte("{")); status != 400 || code != "INVALID_FORM" {
		t.Errorf("half a body: %d %s", status, code)
	}
	if _, status, code := d.postBytes(make([]byte, reverse.MaxRegister+1)); status != 413 || code != "RequestEntityTooLarge" {
		t.Errorf("a body too large: %d %s", status, code)
	}
	long := newGuest(strings.Repeat("a", 49))
	if _, status, code := d.post(long.request(tok)); status != 400 || code != "INVALID_HOST_NAME" {
		t.Errorf("a name of 49 characters: %d %s", status, code)
	}
	slash := newGuest("a/b")
	if _, status, _ := d.post(slash.request(tok)); status != 400 {
		t.Errorf("a name with a slash: %d", status)
	}
}

func TestOneAddressCannotGuessForEver(t *testing.T) {
	at := time.Now()
	s := newSources(nil, func() time.Time { return at })
	a := netip.MustParseAddr("192.0.2.1")
	for range registerBurst {
		if !s.allow(a) {
			t.Fatal("refused within the burst")
		}
	}
	if s.allow(a) {
		t.Error("allowed beyond the burst")
	}
	if !s.allow(netip.MustParseAddr("192.0.2.2")) {
		t.Error("another address was refused")
	}
	at = at.Add(time.Second)
	if !s.allow(a) {
		t.Error("refused a second later")
	}
}
