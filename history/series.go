package history

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Kind is what a subject is.
type Kind string

// The kinds of subjects. A subject's key is its ARM id in lower case.
const (
	Hosts Kind = "host"
	Pools Kind = "pool"
)

// Unit is a series' unit, as Azure Monitor spells it.
type Unit string

// Units of series.
const (
	Percent      Unit = "Percent"
	Count        Unit = "Count"
	MilliSeconds Unit = "MilliSeconds"
)

// Series is one measured quantity.
type Series struct {
	Name        string // as Azure Monitor names it where it has it
	Description string
	Unit        Unit
	scale       float64 // a stored step is 1/scale of the unit; 65,535 steps are the most
}

var hostSeries = []Series{
	{"Percentage CPU", "Busy share of all processors", Percent, 100},
	{"Available Memory Percentage", "Share of the memory that programs can have", Percent, 100},
	{"OS Disk Used Percentage", "Used share of the system's file system", Percent, 100},
	{"Load Average", "Runnable processes, mean of one minute", Count, 100},
	{"Active Sessions", "Sessions with a user at them", Count, 1},
	{"Disconnected Sessions", "Sessions whose user is away", Count, 1},
	{"Round Trip Time", "Round trip of the control link", MilliSeconds, 10},
}

var poolSeries = []Series{
	{"Session Hosts", "Registered session hosts", Count, 1},
	{"Available Session Hosts", "Session hosts that are Available", Count, 1},
	{"Active Sessions", "Sessions with a user at them", Count, 1},
	{"Disconnected Sessions", "Sessions whose user is away", Count, 1},
}

// SeriesOf lists the series of a kind, in the order of a point's values.
func SeriesOf(k Kind) []Series {
	switch k {
	case Hosts:
		return hostSeries
	case Pools:
		return poolSeries
	}
	return nil
}

// Find is the index of a series by its name, in any case; -1 where there is none.
func Find(k Kind, name string) int {
	return slices.IndexFunc(SeriesOf(k), func(s Series) bool { return strings.EqualFold(s.Name, name) })
}

// pack makes stored steps of values. What is out of range goes to its end.
func pack(k Kind, values []float64) ([]uint16, error) {
	series := SeriesOf(k)
	if len(values) != len(series) {
		return nil, fmt.Errorf("a %s has %d values, not %d", k, len(series), len(values))
	}
	steps := make([]uint16, len(values))
	for i, v := range values {
		v = math.Round(v * series[i].scale)
		if !(v > 0) { // not a number neither
			v = 0
		}
		steps[i] = uint16(min(v, math.MaxUint16))
	}
	return steps, nil
}
