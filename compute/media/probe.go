package media

import _ "embed"

// probeCode is probe.asm, assembled: it goes from reset to long mode and writes 0x21 to
// port 0xf4.
//
//go:embed probe.rom
var probeCode []byte

// ProbeROM is firmware of 64 KiB that shows whether an accelerator really runs
// guests: it uses paging, SSE and the stack in long mode, and then ends QEMU through
// the device isa-debug-exit at port 0xf4.
func ProbeROM() []byte {
	rom := make([]byte, 64<<10)
	copy(rom, probeCode)
	copy(rom[len(rom)-16:], []byte{0xea, 0, 0, 0, 0xf0}) // where a processor starts: jmp f000:0000
	return rom
}
