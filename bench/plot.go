//go:build linux

package main

import (
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
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
		height := vg.Length(bars)*0.9*vg.Centimeter + 3*vg.Centimeter
		if err := p.Save(20*vg.Centimeter, height, filepath.Join(dir, chartName(w))); err != nil {
			return err
		}
	}
	return nil
}

var (
	ownColor   = color.RGBA{R: 0x1f, G: 0x77, B: 0xb4, A: 0xff}
	otherColor = color.RGBA{R: 0xa0, G: 0xa0, B: 0xa0, A: 0xff}
)

func (r *report) chart(w workload) (p *plot.Plot, bars int, err error) {
	p = plot.New()
	better := "more is better"
	if w.Main != metricRate {
		better = "less is better"
	}
	p.Title.Text = fmt.Sprintf("%s  %s", w.ID, w.Title)
	p.Title.TextStyle.Font.Size = vg.Points(11)
	p.X.Label.Text = fmt.Sprintf("%s, std net = 1 (%s); median, smallest and largest", w.Main, better)
	p.X.Min = 0
	p.Add(plotter.NewGrid())

	own, other, errs := plotter.Values{}, plotter.Values{}, errorBars{}
	var names []string
	for i := len(registry) - 1; i >= 0; i-- { // the first one on top
		c := registry[i]
		s := r.toReference(figureOf(w.Main), w.ID, c.name)
		if math.IsNaN(s.Median) {
			continue
		}
		names = append(names, c.name)
		mine, theirs := 0.0, s.Median
		if strings.HasPrefix(c.name, "netstream") {
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
