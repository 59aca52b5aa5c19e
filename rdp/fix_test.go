package rdp

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// connectInitial is an MCS Connect Initial with a CS_CORE of the given size behind
// another block.
func connectInitial(core int) []byte {
	block := make([]byte, core)
	binary.LittleEndian.PutUint16(block, csCore)
	binary.LittleEndian.PutUint16(block[2:], uint16(core))
	if core >= coreWithDepth {
		binary.LittleEndian.PutUint16(block[coreDepth:], 16)
		binary.LittleEndian.PutUint16(block[coreEarly:], 0x0829)
	}
	other := []byte{0x04, 0xc0, 8, 0, 1, 2, 3, 4}
	data := append([]byte("\x7f\x65\x82\x01\x94\x04\x01\x01\x00\x05\x00\x14\x7c\x00\x01Duca"), 0x80|byte((len(other)+core)>>8), byte(len(other)+core))
	return tpkt(append(append(data, other...), block...))
}

func tpkt(data []byte) []byte {
	b := append([]byte{3, 0, 0, 0}, x224Data...)
	b = append(b, data...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

// clientInfo is a Client Info PDU as IronRDP sends one.
func clientInfo(t testing.TB, domain, user, password, shell string, extra []byte) []byte {
	t.Helper()
	b := []byte{0x40, 0, 0, 0, 0, 0, 0, 0}
	b = binary.LittleEndian.AppendUint32(b, infoUnicode|0x1)
	texts := []string{domain, user, password, shell, ""}
	for _, s := range texts {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(toUTF16(s))))
	}
	for _, s := range texts {
		b = append(append(b, toUTF16(s)...), 0, 0)
	}
	p, err := frame([]byte{3, 0, 0, 0, 2, 0xf0, 0x80, mcsSend, 0, 6, 3, 0xeb, 0x70}, append(b, extra...))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var (
	erectDomain = tpkt([]byte{0x04, 1, 0, 1, 0})
	channelJoin = tpkt([]byte{0x38, 0, 6, 3, 0xeb})
)

func TestTheConnectionPhaseIsSetRightAndNothingBehindIt(t *testing.T) {
	initial, extra := connectInitial(coreWithProtocol), []byte("address, time zone and the rest")
	stream := bytes.Join([][]byte{initial, erectDomain, channelJoin, clientInfo(t, "", "ann@desk.test", "", "", extra), []byte("\x00\x05fast")}, nil)
	from := bytes.NewReader(stream)
	tls := uint32(ProtocolTLS)
	f := NewFixer(iotest.OneByteReader(from), Fix{Colours: true, Keyboard: 0x407, Protocol: &tls, Credentials: &Credentials{User: "ann", Password: "dysk1-öö", Domain: "D"}, Shell: "/usr/bin/editor"})
	got, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(from); string(rest) != "\x00\x05fast" || err != nil {
		t.Errorf("left %q, %v", rest, err)
	}
	core := got[len(initial)-coreWithProtocol:]
	if d, e, p := binary.LittleEndian.Uint16(core[coreDepth:]), binary.LittleEndian.Uint16(core[coreEarly:]), binary.LittleEndian.Uint32(core[coreProtocol:]); d != 24 || e != 0x082b || p != 1 {
		t.Errorf("depth %d, flags %#x, protocol %d", d, e, p)
	}
	if k := binary.LittleEndian.Uint32(core[coreKeyboard:]); k != 0x407 {
		t.Errorf("keyboard %#x", k)
	}
	got = got[len(initial):]
	if !bytes.HasPrefix(got, append(bytes.Clone(erectDomain), channelJoin...)) {
		t.Errorf("packets between were changed: %x", got)
	}
	want := clientInfo(t, "D", "ann", "dysk1-öö", "/usr/bin/editor", extra)
	binary.LittleEndian.PutUint32(want[mcsHead+2+4+4:], infoUnicode|0x1|autologon)
	if !bytes.Equal(got[len(erectDomain)+len(channelJoin):], want) {
		t.Errorf("got  %x\nwant %x", got[len(erectDomain)+len(channelJoin):], want)
	}
}

func TestWhatNeedsNoFixPassesAsItIs(t *testing.T) {
	for name, fix := range map[string]Fix{"nothing to fix": {}, "a short core": {Colours: true, Protocol: new(uint32)}} {
		stream := append(connectInitial(100), clientInfo(t, "", "ann", "secret", "", nil)...)
		if got, err := io.ReadAll(NewFixer(bytes.NewReader(stream), fix)); err != nil || !bytes.Equal(got, stream) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAClientThatNeverComesToItsCredentialsIsRefused(t *testing.T) {
	short := clientInfo(t, "", "ann", "", "", nil)
	binary.LittleEndian.PutUint16(short[mcsHead+2+4+10:], 0x7fff)
	ansi := clientInfo(t, "", "ann", "", "", nil)
	binary.LittleEndian.PutUint32(ansi[mcsHead+2+4+4:], 1)
	fix := Fix{Credentials: &Credentials{User: "x"}}
	for name, stream := range map[string][]byte{
		"too many packets": bytes.Repeat(channelJoin, maxConnecting+1), "no TPKT": []byte("\x00\x05fast"), "cut": erectDomain[:6], "nothing": nil,
		"sizes beyond it": short, "not Unicode": ansi,
	} {
		if got, err := io.ReadAll(NewFixer(bytes.NewReader(stream), fix)); err == nil {
			t.Errorf("%s: %x", name, got)
		}
	}
	long := Fix{Credentials: &Credentials{Password: strings.Repeat("x", 9000)}}
	if _, err := io.ReadAll(NewFixer(bytes.NewReader(clientInfo(t, "", "", "", "", nil)), long)); err == nil {
		t.Error("credentials that no packet holds were sent")
	}
}

// FuzzFixer: with nothing to fix, what comes out is what went in, whatever it is.
func FuzzFixer(f *testing.F) {
	f.Add(append(connectInitial(coreWithProtocol), clientInfo(f, "", "ann", "", "", nil)...), true)
	f.Add(append(connectInitial(100), erectDomain...), false)
	f.Fuzz(func(t *testing.T, stream []byte, fixed bool) {
		fix := Fix{}
		if fixed {
			fix = Fix{Colours: true, Keyboard: 1, Protocol: new(uint32), Credentials: &Credentials{User: "u", Password: "p"}, Shell: "s"}
		}
		got, err := io.ReadAll(NewFixer(bytes.NewReader(stream), fix))
		if !fixed && !bytes.HasPrefix(stream, got) {
			t.Errorf("%x became %x", stream, got)
		}
		if err == nil && len(got) > len(stream)+200 {
			t.Errorf("%d bytes became %d", len(stream), len(got))
		}
	})
}
