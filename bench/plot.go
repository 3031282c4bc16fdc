//go:build linux

package main

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
)

func chartName(w workload) string { return strings.ToLower(w.ID) + ".svg" }

// writeCharts draws one chart for each workload: the ratio to the reference, with the spread.
func (r *report) writeCharts(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, w := range r.workloads() {
		p, bars, err := r.chart(w)
		if err != nil {
			return err
		}
		if bars == 0 {
			continue
		}
		if err := writeSVG(p, bars, filepath.Join(dir, chartName(w))); err != nil {
			return err
		}
	}
	return nil
}

// fonts that have the widths with which gonum/plot reckons, for systems that do not have its own.
const fonts = "Liberation Sans,Arial,Helvetica,sans-serif"

func writeSVG(p *plot.Plot, bars int, file string) error {
	height := vg.Length(bars)*0.9*vg.Centimeter + 3*vg.Centimeter
	svg, err := p.WriterTo(24*vg.Centimeter, height, "svg")
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if _, err := svg.WriteTo(&b); err != nil {
		return err
	}
	out := bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans"), []byte("font-family:"+fonts))
	return os.WriteFile(file, out, 0o644)
}

var (
	ownColor   = color.RGBA{R: 0x1f, G: 0x77, B: 0xb4, A: 0xff}
	otherColor = color.RGBA{R: 0xa0, G: 0xa0, B: 0xa0, A: 0xff}
)

func (r *report) chart(w workload) (p *plot.Plot, bars int, err error) {
	p = plot.New()
	for _, style := range []*text.Style{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label} {
		style.Font.Variant, style.Font.Size = "Sans", vg.Points(10)
	}
	better := "more is better"
	if !w.more() {
		better = "less is better"
	}
	p.Title.Text = fmt.Sprintf("%s  %s", w.ID, w.Title)
	p.X.Label.Text = fmt.Sprintf("%s, %s = 1 (%s); median, smallest and largest", w.Main, w.reference(), better)
	p.Title.Padding = vg.Points(6)
	p.Add(plotter.NewGrid())

	own, other, errs := plotter.Values{}, plotter.Values{}, errorBars{}
	var names []string
	for i := len(registry) - 1; i >= 0; i-- { // the first one on top
		c := registry[i]
		s := r.toReference(figureOf(w.Main), w, c.name)
		if math.IsNaN(s.Median) {
			continue
		}
		names = append(names, c.name)
		mine, theirs := 0.0, s.Median
		if c.own() {
			mine, theirs = theirs, mine
		}
		own, other = append(own, mine), append(other, theirs)
		errs.add(s, float64(len(names)-1))
	}
	if len(names) == 0 {
		return p, 0, nil
	}
	for _, b := range []struct {
		values plotter.Values
		color  color.Color
	}{{own, ownColor}, {other, otherColor}} {
		chart, err := plotter.NewBarChart(b.values, 0.55*vg.Centimeter)
		if err != nil {
			return nil, 0, err
		}
		chart.Horizontal, chart.Color, chart.LineStyle.Width = true, b.color, 0
		p.Add(chart)
	}
	whiskers, err := plotter.NewXErrorBars(errs)
	if err != nil {
		return nil, 0, err
	}
	p.Add(whiskers)
	p.NominalY(names...)
	p.X.Min, p.X.Max = 0, 1.03*p.X.Max
	p.Y.Min, p.Y.Max = -0.6, float64(len(names))-0.4
	return p, len(names), nil
}

// errorBars are the medians with what the spread leaves on either side.
type errorBars struct {
	plotter.XYs
	plotter.XErrors
}

func (e *errorBars) add(s spread, y float64) {
	e.XYs = append(e.XYs, plotter.XY{X: s.Median, Y: y})
	e.XErrors = append(e.XErrors, struct{ Low, High float64 }{s.Median - s.Min, s.Max - s.Median})
}
