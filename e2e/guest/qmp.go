package guest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"time"
)

// monitor is QEMU's machine protocol (QMP) on a Unix socket: one JSON object a
// line, commands answered in order, events in between.
type monitor struct {
	conn net.Conn
	in   *json.Decoder
}

// commandFor bounds one QMP command.
const commandFor = 10 * time.Second

// dialMonitor connects once QEMU has made its socket, and negotiates.
func dialMonitor(ctx context.Context, socket string) (*monitor, error) {
	var conn net.Conn
	err := poll(ctx, 50*time.Millisecond, func() (err error) {
		conn, err = net.Dial("unix", socket)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reach QEMU's monitor: %w", err)
	}
	m := &monitor{conn: conn, in: json.NewDecoder(conn)}
	conn.SetDeadline(time.Now().Add(commandFor))
	var greeting struct{ QMP json.RawMessage }
	if err := m.in.Decode(&greeting); err != nil {
		conn.Close()
		return nil, fmt.Errorf("read QEMU's greeting: %w", err)
	}
	if err := m.do("qmp_capabilities"); err != nil {
		conn.Close()
		return nil, err
	}
	return m, nil
}

// do sends a command without arguments and waits for its answer.
func (m *monitor) do(command string) error {
	m.conn.SetDeadline(time.Now().Add(commandFor))
	if err := json.NewEncoder(m.conn).Encode(map[string]string{"execute": command}); err != nil {
		return fmt.Errorf("send QMP %s: %w", command, err)
	}
	for {
		var reply struct {
			Return json.RawMessage
			Error  *struct{ Class, Desc string }
		}
		if err := m.in.Decode(&reply); err != nil {
			return fmt.Errorf("read the answer to QMP %s: %w", command, err)
		}
		switch {
		case reply.Error != nil:
			return fmt.Errorf("QMP %s: %s: %s", command, reply.Error.Class, reply.Error.Desc)
		case reply.Return != nil:
			return nil
		}
		// Anything else is an event.
	}
}

// poll calls f until it succeeds or ctx ends, and then returns f's last error.
func poll(ctx context.Context, every time.Duration, f func() error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}
