package gateway

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAGatewayElsewhereEndsARelayOnOrder(t *testing.T) {
	s, g := newService(t)
	_, _ = s.greet("good")
	b := &book{}
	r := serveBook(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { g.Obey(ctx, r) })
	defer func() { cancel(); wg.Wait() }()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(20 * time.Second)
	for heard := false; !heard; {
		b.orders.Disconnect("c-1", "administrator") // until the gateway listens and the session runs
		select {
		case <-s.heard:
			heard = true
		case <-again.C:
		case <-deadline:
			t.Fatal("the session goes on")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.ended[0]; e.Reason != "administrator" {
		t.Errorf("ended %+v", e)
	}
}

func TestOrdersWaitForWhoAsksForThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o Orders
		ask := func(after uint64, want ...string) (last uint64) {
			t.Helper()
			a, err := o.wait(t.Context(), after)
			var got []string
			for _, one := range a.Orders {
				got = append(got, one.Connection)
			}
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("after %d: %v, %v; want %v", after, got, err, want)
			}
			return a.Last
		}
		o.Disconnect("before anybody asked", "")
		last := ask(1<<64 - 1)
		if last != ask(last) {
			t.Error("numbers change without orders") // after half a minute, which passes at once here
		}
		o.Disconnect("a", "")
		o.Disconnect("b", "")
		last = ask(last, "a", "b")
		go func() {
			synctest.Wait()
			if !o.Disconnect("c", "") {
				t.Error("nobody listens")
			}
		}()
		last = ask(last, "c")
		ask(last + 5) // of another start of the service
	})
}

func TestOrdersAreBounded(t *testing.T) {
	var o Orders
	for range 10 * keepOrders {
		o.Disconnect("c", "")
	}
	if a, err := o.wait(t.Context(), 0); err != nil || len(a.Orders) != keepOrders || a.Orders[keepOrders-1].Number != a.Last {
		t.Errorf("%d orders, %v", len(a.Orders), err)
	}
}

func TestAServiceThatStopsKeepsNobodyWaitingForOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o Orders
		go func() {
			synctest.Wait()
			o.Close()
		}()
		begin := time.Now()
		for range 2 { // who waits, and who comes later
			if a, err := o.wait(t.Context(), 0); err != nil || !a.Later || len(a.Orders) > 0 {
				t.Errorf("answered %+v %v", a, err)
			}
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("it took %s", took)
		}
	})
}
