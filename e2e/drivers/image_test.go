package drivers

import (
	"slices"
	"testing"
)

func TestModulesAreLoadedAfterWhatTheyNeed(t *testing.T) {
	dep := "kernel/b.ko: kernel/a.ko kernel/c.ko\nkernel/a.ko: kernel/c.ko\nkernel/c.ko:\n"
	if got := loadOrder(dep, []string{"b", "builtin"}); !slices.Equal(got, []string{"kernel/c.ko", "kernel/a.ko", "kernel/b.ko"}) {
		t.Errorf("order is %v", got)
	}
}
