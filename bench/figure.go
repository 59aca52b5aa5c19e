package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// figure is one line. Its name ends with its unit.
type figure struct {
	Name     string  `json:"name"`
	Ours     float64 `json:"ours"`
	Baseline float64 `json:"baseline"`
	Ratio    float64 `json:"ratio"`            // ours by baseline; 0 without a baseline
	Against  string  `json:"against"`          // what the baseline is
	Target   string  `json:"target,omitempty"` // what the design asks for
}

// sheet holds the figures of a run in their order.
type sheet struct{ Figures []figure }

// add notes a figure and prints it at once: a run takes minutes.
func (s *sheet) add(name string, ours, baseline float64, against, target string) {
	f := figure{Name: name, Ours: ours, Baseline: baseline, Against: against, Target: target}
	if baseline != 0 {
		f.Ratio = ours / baseline
	}
	if len(s.Figures) == 0 {
		fmt.Printf("%-36s %12s %12s %8s  %s\n", "name", "ours", "baseline", "ratio", "baseline is; target")
	}
	s.Figures = append(s.Figures, f)
	shown := ""
	if target != "" {
		shown = "; target " + target
	}
	fmt.Printf("%-36s %12s %12s %8s  %s%s\n", name, number(ours), number(baseline), number(f.Ratio), against, shown)
}

// number is v with three digits that count, or - for none.
func number(v float64) string {
	switch {
	case v == 0:
		return "-"
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

func (s *sheet) write(path string) error {
	b, err := json.MarshalIndent(s.Figures, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the figures: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	return nil
}
