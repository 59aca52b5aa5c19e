package history

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Step is the distance of points.
type Step time.Duration

// Steps that are kept, and for how long.
const (
	Minute = Step(time.Minute)
	Hour   = Step(time.Hour)

	MinutesFor = 24 * time.Hour
	HoursFor   = 30 * 24 * time.Hour
)

// length is what one chunk of a step covers.
func (s Step) length() time.Duration {
	if s == Minute {
		return time.Hour
	}
	return 24 * time.Hour
}

// Chunk is a row of the store: some points of one subject. Points are appended to it.
type Chunk struct {
	Kind   Kind
	Key    string // the subject's
	Step   Step
	Since  time.Time // start of what it covers: an hour of minutes, a day of hours
	Points string    // in package history's own form, printable
}

// Point is what a subject was like at an instant, or over an hour from then.
type Point struct {
	At           time.Time
	Mean, Lo, Hi []float64 // by series; the same slice where one measurement is all there is
}

// A record is the place in the chunk, then the steps, each in two bytes, written as
// base64: one measurement of a minute; mean, least and greatest of an hour.
var encoding = base64.RawStdEncoding

func (k Kind) recordBytes(s Step) int {
	values := len(SeriesOf(k))
	if s == Hour {
		values *= 3
	}
	return 2 * (1 + values)
}

func record(place int, groups ...[]uint16) string {
	b := binary.BigEndian.AppendUint16(nil, uint16(place))
	for _, g := range groups {
		for _, v := range g {
			b = binary.BigEndian.AppendUint16(b, v)
		}
	}
	return encoding.EncodeToString(b)
}

// errDamaged is answered for a chunk that package history did not write.
var errDamaged = errors.New("the stored points are damaged")

// Decode reads a chunk's points, in the order of time; of two for one instant, which a
// restart may leave, the later written.
func (c Chunk) Decode() ([]Point, error) {
	size := c.Kind.recordBytes(c.Step)
	width := encoding.EncodedLen(size)
	series := SeriesOf(c.Kind)
	if len(series) == 0 || len(c.Points)%width != 0 {
		return nil, fmt.Errorf("read points of %s since %s: %w", c.Key, c.Since, errDamaged)
	}
	places := int(c.Step.length() / time.Duration(c.Step))
	found := make([]*Point, places)
	b := make([]byte, size)
	for text := c.Points; text != ""; text = text[width:] {
		if _, err := encoding.Decode(b, []byte(text[:width])); err != nil {
			return nil, fmt.Errorf("read points of %s since %s: %w", c.Key, c.Since, errDamaged)
		}
		place := int(binary.BigEndian.Uint16(b))
		if place >= places {
			return nil, fmt.Errorf("read points of %s since %s: %w", c.Key, c.Since, errDamaged)
		}
		values := func(group int) []float64 {
			all := make([]float64, len(series))
			for i := range all {
				all[i] = float64(binary.BigEndian.Uint16(b[2*(1+group*len(series)+i):])) / series[i].scale
			}
			return all
		}
		p := &Point{At: c.Since.Add(time.Duration(place) * time.Duration(c.Step)), Mean: values(0)}
		p.Lo, p.Hi = p.Mean, p.Mean
		if c.Step == Hour {
			p.Lo, p.Hi = values(1), values(2)
		}
		found[place] = p
	}
	var points []Point
	for _, p := range found {
		if p != nil {
			points = append(points, *p)
		}
	}
	return points, nil
}

// hourOf is one record of what a chunk of minutes holds, for the chunk of its day; ok is
// false where it holds nothing.
func hourOf(c Chunk) (day Chunk, ok bool, err error) {
	points, err := c.Decode()
	if err != nil || len(points) == 0 {
		return Chunk{}, false, err
	}
	n := len(SeriesOf(c.Kind))
	mean, lo, hi := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range n {
		lo[i], hi[i] = points[0].Mean[i], points[0].Mean[i]
		for _, p := range points {
			mean[i] += p.Mean[i] / float64(len(points))
			lo[i], hi[i] = min(lo[i], p.Mean[i]), max(hi[i], p.Mean[i])
		}
	}
	var groups [][]uint16
	for _, g := range [][]float64{mean, lo, hi} {
		steps, err := pack(c.Kind, g)
		if err != nil {
			return Chunk{}, false, err
		}
		groups = append(groups, steps)
	}
	since := c.Since.Truncate(Hour.length())
	return Chunk{Kind: c.Kind, Key: c.Key, Step: Hour, Since: since, Points: record(int(c.Since.Sub(since)/time.Hour), groups...)}, true, nil
}
