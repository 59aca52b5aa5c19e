package guest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// Forward gives an address on this machine behind which addr, as the guest sees it,
// answers: the guest itself has no port open but SSH. stop ends it.
func (s *Shell) Forward(ctx context.Context, addr string) (local string, stop func(), err error) {
	client, err := s.connection()
	if err != nil {
		return "", nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("forward %s: %w", addr, err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return // stop has closed it
			}
			wg.Go(func() {
				defer near.Close()
				far, err := client.DialContext(ctx, "tcp", addr)
				if err != nil {
					return // the near side sees its connection end
				}
				splice(near, far)
			})
		}
	})
	stop = func() {
		l.Close()
		wg.Wait()
	}
	return l.Addr().String(), stop, nil
}

// splice copies both ways until either side ends, and then ends both.
func splice(a, b net.Conn) {
	done := make(chan error, 2)
	pass := func(to, from net.Conn) {
		_, err := io.Copy(to, from)
		done <- errors.Join(err, to.Close(), from.Close())
	}
	go pass(a, b)
	go pass(b, a)
	<-done
	<-done
}
