package armapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"sync"
)

// icon is what an application or desktop shows until its host gives a better one.
type icon struct {
	Hash    string // base64url, as AVD's iconHash
	Content []byte // an ICO file; JSON has it in base64
}

// Icons of the two things that are published.
var (
	desktopIcon     = sync.OnceValue(func() icon { return drawIcon(desktopPixel) })
	applicationIcon = sync.OnceValue(func() icon { return drawIcon(windowPixel) })
)

const iconSide = 32

// bgra is a pixel in the order that a bitmap has it.
type bgra [4]byte

var (
	clear  = bgra{}
	frame  = bgra{0x5a, 0x3c, 0x1e, 0xff}
	screen = bgra{0xd8, 0x8a, 0x2b, 0xff}
	paper  = bgra{0xf5, 0xf0, 0xea, 0xff}
)

// desktopPixel draws a screen on a foot.
func desktopPixel(x, y int) bgra {
	switch {
	case x >= 4 && x < 28 && y >= 6 && y < 20:
		return screen
	case x >= 2 && x < 30 && y >= 4 && y < 22, x >= 14 && x < 18 && y >= 22 && y < 26, x >= 9 && x < 23 && y >= 26 && y < 28:
		return frame
	}
	return clear
}

// windowPixel draws a window with a title bar.
func windowPixel(x, y int) bgra {
	switch {
	case x >= 4 && x < 28 && y >= 10 && y < 26:
		return paper
	case x >= 3 && x < 29 && y >= 5 && y < 9:
		return screen
	case x >= 2 && x < 30 && y >= 4 && y < 28:
		return frame
	}
	return clear
}

// drawIcon makes an ICO file of one 32-bit image: directory, bitmap header, rows
// from the bottom up, and an empty mask (alpha says what is clear).
func drawIcon(pixel func(x, y int) bgra) icon {
	const header, directory, bitmap = 6, 16, 40
	pixels, mask := iconSide*iconSide*4, iconSide*iconSide/8
	var b bytes.Buffer
	put := func(fields ...any) {
		for _, f := range fields {
			_ = binary.Write(&b, binary.LittleEndian, f) // a bytes.Buffer takes everything
		}
	}
	put(uint16(0), uint16(1), uint16(1)) // reserved, icon, one image
	put(uint8(iconSide), uint8(iconSide), uint8(0), uint8(0), uint16(1), uint16(32), uint32(bitmap+pixels+mask), uint32(header+directory))
	put(uint32(bitmap), int32(iconSide), int32(2*iconSide), uint16(1), uint16(32), uint32(0), uint32(pixels+mask), uint32(0), uint32(0), uint32(0), uint32(0))
	for y := iconSide - 1; y >= 0; y-- {
		for x := range iconSide {
			p := pixel(x, y)
			b.Write(p[:])
		}
	}
	b.Write(make([]byte, mask))
	sum := sha256.Sum256(b.Bytes())
	return icon{Hash: base64.RawURLEncoding.EncodeToString(sum[:]), Content: b.Bytes()}
}
