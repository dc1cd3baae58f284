package main

import (
	"fmt"
	"image/color"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

var (
	blue   = color.RGBA{0x2f, 0x6f, 0xb0, 0xff}
	orange = color.RGBA{0xd9, 0x7a, 0x2b, 0xff}
	grey   = color.RGBA{0x9a, 0x9a, 0x9a, 0xff}
	clear  = color.RGBA{}
)

func (r *Results) draw() error {
	plot.DefaultFont.Variant = "Sans"
	for _, picture := range []struct {
		name  string
		there bool
		draw  func(name string) error
	}{
		{"stages.svg", r.Start != nil, func(name string) error { return r.Start.draw(name) }},
		{"classroom.svg", len(r.Classrooms) > 0, func(name string) error { return drawClassrooms(r.Classrooms, name) }},
	} {
		if !picture.there {
			continue
		}
		name := filepath.Join(folder(), picture.name)
		if err := picture.draw(name); err != nil {
			return err
		}
		fmt.Printf("drawn: %s\n", name)
	}
	return nil
}

// draw shows the stages as steps: each bar begins where the bar above it ends. The floor, at the bottom, is the time
// that the same number of containers takes without the lab.
func (s *Start) draw(name string) error {
	p := plot.New()
	p.Title.Text = fmt.Sprintf("time to first success: %.2f s, the median of %d runs", s.Success.Median, s.Success.Runs)
	p.X.Label.Text = fmt.Sprintf("seconds since docker compose up -d; floor: %d times plain docker run", len(services))
	p.X.Min = 0

	// The chart begins at the bottom, so the stages are added in reverse order.
	labels := []string{"floor"}
	begin, length, floor := plotter.Values{0}, plotter.Values{0}, plotter.Values{s.Floor.Median}
	steps := s.Stages[:1+len(stages)]
	for i := len(steps) - 1; i >= 0; i-- {
		from := 0.0
		if i > 0 {
			from = steps[i-1].At.Median
		}
		labels = append(labels, steps[i].Name)
		begin = append(begin, min(from, steps[i].At.Median))
		length = append(length, max(0, steps[i].At.Median-from))
		floor = append(floor, 0)
	}
	p.Add(plotter.NewGrid())
	var below *plotter.BarChart
	for _, part := range []struct {
		values plotter.Values
		color  color.Color
	}{{begin, clear}, {length, blue}, {floor, grey}} {
		bars, err := plotter.NewBarChart(part.values, vg.Points(16))
		if err != nil {
			return err
		}
		bars.Horizontal, bars.Color, bars.LineStyle.Width = true, part.color, 0
		if below != nil {
			bars.StackOn(below)
		}
		p.Add(bars)
		below = bars
	}
	p.X.Max *= 1.03
	p.NominalY(labels...)
	return savePicture(name, []*plot.Plot{p})
}

// drawClassrooms shows what a lab costs in classrooms of different sizes. Each dot is a lab, and the line connects the
// medians.
func drawClassrooms(classrooms []Classroom, name string) error {
	panels := make([]*plot.Plot, 2)
	for i, panel := range []struct {
		title, unit string
		of          func(Classroom) (values []float64, middle float64)
	}{
		{"ready after", "seconds", func(c Classroom) (values []float64, middle float64) {
			for _, lab := range c.Labs {
				values = append(values, lab.Ready)
			}
			return values, spread(values).Median
		}},
		{"memory of a lab", "MiB", func(c Classroom) (values []float64, middle float64) {
			for _, lab := range c.Labs {
				values = append(values, lab.Memory)
			}
			return values, spread(values).Median
		}},
	} {
		p := plot.New()
		p.Title.Text, p.X.Label.Text, p.Y.Label.Text = panel.title, "labs in the classroom", panel.unit
		p.X.Min, p.Y.Min = 0, 0
		var dots, middles plotter.XYs
		for _, c := range classrooms {
			values, middle := panel.of(c)
			for _, value := range values {
				dots = append(dots, plotter.XY{X: float64(c.N), Y: value})
			}
			middles = append(middles, plotter.XY{X: float64(c.N), Y: middle})
		}
		scatter, err := plotter.NewScatter(dots)
		if err != nil {
			return err
		}
		scatter.Color, scatter.Radius, scatter.Shape = grey, vg.Points(2), vgdraw.CircleGlyph{}
		line, points, err := plotter.NewLinePoints(middles)
		if err != nil {
			return err
		}
		line.Color, line.Width, points.Color, points.Shape = orange, vg.Points(1.5), orange, vgdraw.CircleGlyph{}
		p.Add(plotter.NewGrid(), scatter, line, points)
		p.Y.Max *= 1.1
		panels[i] = p
	}
	return savePicture(name, panels)
}

// savePicture writes the panels side by side into an SVG file. The file contains its own font, because the texts would
// overlap in a wider font.
func savePicture(name string, panels []*plot.Plot) error {
	picture := vgsvg.NewWith(vgsvg.UseWH(20*vg.Centimeter, 8*vg.Centimeter), vgsvg.EmbedFonts(true))
	tiles := vgdraw.Tiles{Rows: 1, Cols: len(panels), PadX: vg.Centimeter, PadLeft: vg.Points(6), PadRight: vg.Points(12), PadTop: vg.Points(6), PadBottom: vg.Points(6)}
	for i, canvas := range plot.Align([][]*plot.Plot{panels}, tiles, vgdraw.New(picture))[0] {
		panels[i].Draw(canvas)
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	if _, err := picture.WriteTo(file); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
