package libvirt

import (
	"bytes"
	"encoding/binary"
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

func TestWhatFollowsAStreamsEndIsDropped(t *testing.T) {
	first := append(packet(socket.Stream, 7, socket.StatusContinue, "text"), packet(socket.Stream, 7, socket.StatusContinue, "")...)
	late := append(packet(socket.Stream, 7, socket.StatusContinue, ""), packet(socket.Stream, 7, socket.StatusError, "late")...)
	last := packet(socket.Reply, 8, socket.StatusOK, "answer")
	ours, theirs := net.Pipe()
	go func() {
		theirs.Write(bytes.Join([][]byte{first, late, last}, nil))
		theirs.Close()
	}()
	got, err := io.ReadAll(frame(ours))
	if err != nil || !bytes.Equal(got, append(first, last...)) {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzReadPacket(f *testing.F) {
	f.Add(packet(socket.Reply, 1, 0, "x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := readPacket(bytes.NewReader(b)); err == nil && !bytes.HasPrefix(b, p) {
			t.Error("a packet that was not sent")
		}
	})
}
