package armapi

import (
	"encoding/binary"
	"testing"
)

func TestIconsAreWellFormedAndTheirOwn(t *testing.T) {
	app, desktop := applicationIcon(), desktopIcon()
	if app.Hash == desktop.Hash || app.Hash == "" {
		t.Errorf("hashes %q and %q", app.Hash, desktop.Hash)
	}
	for _, i := range []icon{app, desktop} {
		size, offset := binary.LittleEndian.Uint32(i.Content[14:]), binary.LittleEndian.Uint32(i.Content[18:])
		if int(size+offset) != len(i.Content) || binary.LittleEndian.Uint32(i.Content[offset:]) != 40 {
			t.Errorf("an image of %d bytes at %d in a file of %d", size, offset, len(i.Content))
		}
	}
}
