package feed

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"net/http"
	"path"
	"strings"

	"github.com/deskyard/deskyard/connect"
)

// iconSize is of a drawn icon, in pixels: what the feed's clients ask for.
const iconSize = 32

// iconName names the icon of a resource: by kind, and the colour of its name, so that the
// same application looks the same everywhere.
func iconName(x connect.Resource) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(x.ID.Name())) // never fails
	return strings.ToLower(x.Kind) + "-" + string("0123456789abcdef"[h.Sum32()%16])
}

// icon draws "desktop-N" or "remoteapp-N", N being one of sixteen colours.
func (d *Door) icon(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	kind := path.Ext(name)
	shape, hue, ok := strings.Cut(strings.TrimSuffix(name, kind), "-")
	n := strings.Index("0123456789abcdef", hue)
	if !ok || len(hue) != 1 || n < 0 || shape != "desktop" && shape != "remoteapp" || kind != ".png" && kind != ".ico" {
		http.NotFound(w, r)
		return
	}
	var b bytes.Buffer
	if err := png.Encode(&b, drawIcon(shape, n)); err != nil {
		d.fail(w, r, "", err)
		return
	}
	body, mimeType := b.Bytes(), "image/png"
	if kind == ".ico" {
		body, mimeType = inICO(body), "image/x-icon"
	}
	w.Header().Set("Content-Type", mimeType)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(body) // the client is gone if this fails
}

// drawIcon draws a screen on a foot, or a window with its bar.
func drawIcon(shape string, hue int) image.Image {
	m := image.NewNRGBA(image.Rect(0, 0, iconSize, iconSize))
	fill := func(x0, y0, x1, y1 int, c color.Color) {
		draw.Draw(m, image.Rect(x0, y0, x1, y1), image.NewUniform(c), image.Point{}, draw.Src)
	}
	frame, paper, ink := color.NRGBA{0x3b, 0x3a, 0x39, 0xff}, color.NRGBA{0xf3, 0xf2, 0xf1, 0xff}, tint(hue)
	if shape == "desktop" {
		fill(2, 4, 30, 24, frame)
		fill(4, 6, 28, 22, ink)
		fill(13, 24, 19, 27, frame)
		fill(9, 27, 23, 29, frame)
		return m
	}
	fill(3, 4, 29, 28, ink)
	fill(5, 10, 27, 26, paper)
	for _, x := range []int{5, 9, 13} {
		fill(x, 6, x+2, 8, paper)
	}
	return m
}

// tint gives sixteen colours around the wheel, dark enough for either background.
func tint(n int) color.NRGBA {
	sector, rise := n*6/16, uint8((n*6%16)*8)
	const low, high = 0x28, 0xa8
	up, down := low+rise, high-rise
	return [...]color.NRGBA{
		{high, up, low, 0xff}, {down, high, low, 0xff}, {low, high, up, 0xff},
		{low, down, high, 0xff}, {up, low, high, 0xff}, {high, low, down, 0xff},
	}[sector]
}

// inICO puts a PNG into an icon file of one image.
func inICO(body []byte) []byte {
	b := binary.LittleEndian.AppendUint16(nil, 0)
	b = binary.LittleEndian.AppendUint16(b, 1)  // icons
	b = binary.LittleEndian.AppendUint16(b, 1)  // one
	b = append(b, iconSize, iconSize, 0, 0)     // no palette
	b = binary.LittleEndian.AppendUint16(b, 1)  // plane
	b = binary.LittleEndian.AppendUint16(b, 32) // bits
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	b = binary.LittleEndian.AppendUint32(b, 22)
	return append(b, body...)
}
