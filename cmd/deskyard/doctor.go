package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/deskyard/deskyard/server"
)

type doctorCommand struct {
	server.Config
	JSON bool `help:"Print the findings as JSON."`
}

// Run prints what the doctor found; any failed prerequisite is an error.
func (d *doctorCommand) Run(ctx context.Context) error {
	findings := server.Diagnose(ctx, d.Config)
	failed := 0
	for _, f := range findings {
		if f.Result == "fail" {
			failed++
		}
	}
	if err := d.print(findings); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d prerequisites fail; each line above says what to do", failed, len(findings))
	}
	return nil
}

func (d *doctorCommand) print(findings []server.Finding) error {
	if d.JSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(findings)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	var errs []error
	for _, f := range findings {
		_, err := fmt.Fprintf(w, "%s\t%s\t%s\n", f.Result, f.Name, f.Detail)
		errs = append(errs, err)
		if f.Remedy != "" {
			_, err = fmt.Fprintf(w, "\t\t-> %s\n", f.Remedy)
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, w.Flush())...)
}
