package server

import (
	"strings"
	"testing"
	"time"
)

func TestConnectionFilesWorkForAMinuteToAMonth(t *testing.T) {
	in := install(t)
	for life, good := range map[time.Duration]bool{0: true, time.Minute: true, 30 * 24 * time.Hour: true, time.Second: false, -time.Hour: false, 31 * 24 * time.Hour: false} {
		c := in.config
		c.FileLife = life
		err := c.Check()
		if good != (err == nil) || !good && !strings.Contains(err.Error(), "--connection-file-life") {
			t.Errorf("%s: %v", life, err)
		}
	}
}
