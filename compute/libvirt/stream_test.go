package libvirt

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/digitalocean/go-libvirt/socket"
)

func packet(kind, serial, status uint32, payload string) []byte {
	var b []byte
	for _, w := range []uint32{uint32(packetLeast + len(payload)), 1, 1, 1, kind, serial, status} {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	return append(b, payload...)
}

// through is what go-libvirt reads of what libvirtd sends.
func through(t *testing.T, packets ...[]byte) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	sent := make(chan error, 1)
	go func() {
		_, err := theirs.Write(bytes.Join(packets, nil))
		sent <- errors.Join(err, theirs.Close())
	}()
	got, err := io.ReadAll(frame(ours))
	if err := errors.Join(err, <-sent); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestStreamsWaitForTheirReply(t *testing.T) {
	event := packet(socket.Message, 0, socket.StatusOK, "event")
	reply := packet(socket.Reply, 7, socket.StatusOK, "image/png")
	data := packet(socket.Stream, 7, socket.StatusContinue, "picture")
	end := packet(socket.Stream, 7, socket.StatusContinue, "")
	next := packet(socket.Reply, 8, socket.StatusOK, "next")
	want := bytes.Join([][]byte{event, reply, data, end, next}, nil)
	for name, sent := range map[string][][]byte{
		"in order":     {event, reply, data, end, next},
		"data first":   {data, event, reply, end, next},
		"all first":    {data, end, event, reply, next},
		"ended twice":  {event, reply, data, end, end, next},
		"late":         {event, reply, data, end, next, end},
		"late failure": {event, data, reply, end, packet(socket.Stream, 7, socket.StatusError, "late"), next},
	} {
		got := through(t, sent...)
		if name == "data first" || name == "all first" || name == "late failure" {
			got = bytes.Replace(got, event, nil, 1) // events keep no order with calls
			got = append(bytes.Clone(event), got...)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestStreamOfACallThatFailedIsDropped(t *testing.T) {
	failed := packet(socket.Reply, 7, socket.StatusError, "no")
	if got := through(t, packet(socket.Stream, 7, socket.StatusContinue, "data"), failed); !bytes.Equal(got, failed) {
		t.Errorf("%q", got)
	}
}

func FuzzFramed(f *testing.F) {
	f.Add(append(packet(socket.Stream, 1, socket.StatusContinue, "x"), packet(socket.Reply, 1, socket.StatusOK, "")...))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, _ := io.ReadAll(&framed{r: bufio.NewReader(bytes.NewReader(b))}) // how it ends is not the matter
		if len(got) > len(b) {
			t.Error("more was read than sent")
		}
	})
}

func FuzzReadPacket(f *testing.F) {
	f.Add(packet(socket.Reply, 1, 0, "x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := readPacket(bytes.NewReader(b)); err == nil && !bytes.HasPrefix(b, p) {
			t.Error("a packet that was not sent")
		}
	})
}
