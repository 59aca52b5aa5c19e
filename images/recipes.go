// Package images holds the recipes of the images that `deskyard image build` makes,
// so that an installed program has them with it.
package images

import "embed"

// Recipes are the recipe folders and what they share.
//
//go:embed common.sh all:debian-desktop
var Recipes embed.FS
