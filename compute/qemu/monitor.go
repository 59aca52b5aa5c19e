package qemu

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/deskyard/deskyard/compute"
)

// monitor is a connection to QEMU's machine protocol (QMP): a JSON object a line;
// commands are answered in order, events come in between.
//
//	◀ {"QMP": {…}}                      greeting
//	▶ {"execute":"qmp_capabilities"}    from here on commands
//	▶ {"execute":"query-status"}
//	◀ {"event":"SHUTDOWN", …}
//	◀ {"return": {…}}
//
// A socket serves one connection at a time; the next waits in its queue. So a verb
// connects, asks and goes.
type monitor struct {
	conn   *net.UnixConn
	in     *bufio.Reader
	unbind func() bool // lets go of the context that bounds the connection
	ctx    context.Context
	events []event // that came between a command and its answer
}

// event is something that QEMU tells unasked.
type event struct {
	Name string
	Data json.RawMessage
}

// message is any of QEMU's lines.
type message struct {
	QMP    json.RawMessage `json:"QMP"`
	Return json.RawMessage `json:"return"`
	Error  *qmpError       `json:"error"`
	Event  string          `json:"event"`
	Data   json.RawMessage `json:"data"`
}

// qmpError is QEMU's refusal of a command.
type qmpError struct {
	Class string `json:"class"`
	Desc  string `json:"desc"`
}

func (e *qmpError) Error() string { return e.Class + ": " + e.Desc }

const (
	// answerFor bounds an exchange. QEMU answers within a millisecond unless its main
	// loop is stuck, on a disk that does not answer for example.
	answerFor = 5 * time.Second
	// maxLine bounds a line of QEMU's: query-block of one disk is 3 KiB.
	maxLine = 1 << 20
)

// dialMonitor connects to a socket in a machine's folder. That it does not answer in
// time is ErrUnreachable.
func dialMonitor(ctx context.Context, folder, socket string) (*monitor, error) {
	dir, err := os.Open(folder)
	if err != nil {
		return nil, fmt.Errorf("open the machine's folder: %w", err)
	}
	defer dir.Close()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", below(dir, socket))
	if err != nil {
		return nil, fmt.Errorf("reach QEMU's monitor: %w", unreachable(ctx, err))
	}
	m := &monitor{conn: conn.(*net.UnixConn), in: bufio.NewReader(conn), ctx: ctx}
	m.unbind = context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	greeting, err := m.read(time.Now().Add(answerFor))
	if err == nil && greeting.QMP == nil {
		err = errors.New("it does not greet")
	}
	if err == nil {
		err = m.do("qmp_capabilities", nil, nil)
	}
	if err != nil {
		m.close()
		return nil, fmt.Errorf("greet QEMU's monitor: %w", err)
	}
	return m, nil
}

func (m *monitor) close() {
	m.unbind()
	m.conn.Close() // nothing is lost with it: each answer was read
}

// read returns the next line, by a deadline; the zero time waits as long as ctx.
func (m *monitor) read(deadline time.Time) (message, error) {
	if err := m.ctx.Err(); err != nil {
		return message{}, context.Cause(m.ctx)
	}
	if err := m.conn.SetReadDeadline(deadline); err != nil {
		return message{}, err
	}
	// The deadline that the context's end sets may just have been written over.
	if m.ctx.Err() != nil {
		return message{}, context.Cause(m.ctx)
	}
	line, err := readLine(m.in)
	if err != nil {
		return message{}, unreachable(m.ctx, err)
	}
	return parseMessage(line)
}

// readLine reads up to a newline, maxLine bytes at most.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			return nil, fmt.Errorf("a line of more than %d bytes", maxLine)
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimSpace(line), err
		}
	}
}

// parseMessage decodes a line, which must be one of the four kinds.
func parseMessage(line []byte) (message, error) {
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		return message{}, fmt.Errorf("read QEMU's message: %w", err)
	}
	if m.QMP == nil && m.Return == nil && m.Error == nil && m.Event == "" {
		return message{}, errors.New("read QEMU's message: it is of no known kind")
	}
	return m, nil
}

// unreachable tells the end of the caller's context from a QEMU that is not there or
// does not answer.
func unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNREFUSED) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.EAGAIN) {
		return fmt.Errorf("%w (%w)", compute.ErrUnreachable, err)
	}
	return err
}

// do has a command carried out; args and result may be nil.
func (m *monitor) do(command string, args, result any) error {
	return m.send(command, args, result, nil)
}

// doWithFile is do with a file that goes along, as getfd wants it.
func (m *monitor) doWithFile(command string, args any, file *os.File) error {
	return m.send(command, args, nil, unix.UnixRights(int(file.Fd())))
}

func (m *monitor) send(command string, args, result any, rights []byte) error {
	request := map[string]any{"execute": command}
	if args != nil {
		request["arguments"] = args
	}
	line, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("QMP %s: %w", command, err)
	}
	deadline := time.Now().Add(answerFor)
	if err := m.conn.SetWriteDeadline(deadline); err != nil {
		return fmt.Errorf("QMP %s: %w", command, err)
	}
	if _, _, err := m.conn.WriteMsgUnix(append(line, '\n'), rights, nil); err != nil {
		return fmt.Errorf("QMP %s: %w", command, unreachable(m.ctx, err))
	}
	for {
		answer, err := m.read(deadline)
		switch {
		case err != nil:
			return fmt.Errorf("QMP %s: %w", command, err)
		case answer.Error != nil:
			return fmt.Errorf("QMP %s: %w", command, answer.Error)
		case answer.Event != "":
			m.events = append(m.events, event{answer.Event, answer.Data})
		case answer.Return != nil && result != nil:
			if err := json.Unmarshal(answer.Return, result); err != nil {
				return fmt.Errorf("QMP %s: read the answer: %w", command, err)
			}
			return nil
		case answer.Return != nil:
			return nil
		}
	}
}

// next waits for an event, as long as the monitor's context lasts.
func (m *monitor) next() (event, error) {
	for len(m.events) == 0 {
		line, err := m.read(time.Time{})
		if err != nil {
			return event{}, err
		}
		if line.Event != "" {
			return event{line.Event, line.Data}, nil
		}
	}
	e := m.events[0]
	m.events = m.events[1:]
	return e, nil
}
