// Package web holds the web client, built by `make web` from the sources beside it, and
// serves it.
package web

import (
	"embed"
	"io/fs"
)

// built is what `make web` left in dist. The folder is always there, with nothing but
// an empty file in it where the client was not built.
//
//go:embed all:dist
var built embed.FS

// Files are the built client's files, each compressed twice: name.br and name.gz.
func Files() fs.FS {
	sub, err := fs.Sub(built, "dist")
	if err != nil {
		panic("web: " + err.Error()) // only for a name that is not a path, and "dist" is one
	}
	return sub
}
