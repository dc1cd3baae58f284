package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Results has the results of all measurements, as in results.json.
type Results struct {
	Taken       time.Time        `json:"taken"`
	Quick       bool             `json:"quick"` // too few runs for a comparison
	Machine     Machine          `json:"machine"`
	Start       *Start           `json:"start,omitempty"`
	Footprint   *Footprint       `json:"footprint,omitempty"`
	Propagation *Propagation     `json:"propagation,omitempty"`
	Path        *Path            `json:"path,omitempty"`
	Classrooms  []Classroom      `json:"classrooms,omitempty"`
	Figures     map[string]Value `json:"figures"`
}

// Classroom is the report of `lab classroom`.
type Classroom struct {
	N       int     `json:"n"`
	Seconds float64 `json:"seconds"` // for the start and the verification of all labs
	Labs    []struct {
		Lab    string  `json:"lab"`
		Ready  float64 `json:"ready_s"`
		Memory float64 `json:"memory_mib"`
		Result string  `json:"result"`
	} `json:"labs"`
	MachineMemory float64 `json:"machine_memory_mib"` // the memory that all labs together took from the machine, or 0 if unknown
}

// Value is a result that is compared from run to run, and its goal.
type Value struct {
	Spread
	Unit string  `json:"unit"`
	Goal float64 `json:"goal,omitempty"` // the largest acceptable value, or 0 without a goal
}

// Machine describes the machine of the measurement.
type Machine struct {
	CPU       string  `json:"cpu"`
	Cores     int     `json:"cores"`
	MemoryGiB float64 `json:"memory_gib"`
	Engine    string  `json:"engine"`
	Compose   string  `json:"compose"`
	Storage   string  `json:"storage"`
	Go        string  `json:"go"`
	Load      string  `json:"load"` // the machine's load before the measurement
}

// save writes the result of one measurement into the results folder. The report is made from the files of this folder.
func save(name string, part any) error {
	if err := os.MkdirAll(folder(), 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(part, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder(), name+".json"), append(text, '\n'), 0o644)
}

// saved reads the result of one measurement. It returns nil if there is no such result.
func saved[T any](name string) (*T, error) {
	text, err := os.ReadFile(filepath.Join(folder(), name+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	part := new(T)
	if err := json.Unmarshal(text, part); err != nil {
		return nil, fmt.Errorf("%s.json: %w", name, err)
	}
	return part, nil
}

func report(ctx context.Context, o options) error {
	results := Results{Taken: time.Now().UTC().Truncate(time.Second), Quick: o.quick, Figures: map[string]Value{}}
	before, err := saved[Results]("previous")
	if err != nil {
		return err
	}
	if results.Machine, err = machine(ctx); err != nil {
		return err
	}
	if err := results.collect(); err != nil {
		return err
	}
	results.figures()
	results.print(before)
	if err := save("results", results); err != nil {
		return err
	}
	fmt.Printf("\nwritten: %s\n", filepath.Join(folder(), "results.json"))
	return results.draw()
}

func draw(context.Context, options) error {
	var results Results
	if err := results.collect(); err != nil {
		return err
	}
	return results.draw()
}

// collect reads the results of all measurements that were made.
func (r *Results) collect() error {
	var errs [4]error
	r.Start, errs[0] = saved[Start]("start")
	r.Footprint, errs[1] = saved[Footprint]("footprint")
	r.Propagation, errs[2] = saved[Propagation]("propagation")
	r.Path, errs[3] = saved[Path]("path")
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(folder(), "classroom-*.json"))
	if err != nil {
		return err
	}
	for _, file := range files {
		one, err := saved[Classroom](strings.TrimSuffix(filepath.Base(file), ".json"))
		if err != nil {
			return err
		}
		r.Classrooms = append(r.Classrooms, *one)
	}
	slices.SortFunc(r.Classrooms, func(a, b Classroom) int { return a.N - b.N })
	return nil
}

// figures sets the values that are compared from run to run.
func (r *Results) figures() {
	add := func(name, unit string, goal float64, value Spread) { r.Figures[name] = Value{value, unit, goal} }
	one := func(value float64) Spread { return Spread{value, value, value, 1} }
	if s := r.Start; s != nil {
		add("time to first success", "s", 4, s.Success)
		add("time to first success, in floors", "", 1.5, one(s.TimesFloor))
		add("floor: plain docker run", "s", 0, s.Floor)
	}
	if f := r.Footprint; f != nil {
		add("idle lab, memory", "MiB", 120, one(f.MemoryMiB))
		add("idle lab, CPU", "% of a core", 5, one(f.CPUPercent))
		add("download", "MiB", 0, one(f.Download.MiB))
	}
	if p := r.Propagation; p != nil {
		add("entry created to SVID", "s", 1.5, p.Created)
		add("entry deleted to refusal", "s", 1.5, p.Deleted)
	}
	if p := r.Path; p != nil {
		for _, c := range p.Benchmarks {
			name := fmt.Sprintf("%s, %s connection", c.Program, c.Connection)
			add(name, "us", 0, c.SPIFFE.Microseconds)
			goal := map[string]float64{"new": 10, "kept": 3}[c.Connection]
			add(name+", above static", "%", goal, c.Above)
			add(name+", CPU above static", "%", goal, c.AboveCPU)
		}
		for _, t := range p.Real {
			add(fmt.Sprintf("between containers, %s connection, %s, p50", t.Connection, t.Kind), "ms", 0, one(t.P50))
			add(fmt.Sprintf("between containers, %s connection, %s, p99", t.Connection, t.Kind), "ms", 0, one(t.P99))
		}
	}
	for _, c := range r.Classrooms {
		ready, memory := c.spreads()
		add(fmt.Sprintf("classroom of %2d, ready after", c.N), "s", 0, ready)
		add(fmt.Sprintf("classroom of %2d, memory of a lab", c.N), "MiB", 0, memory)
	}
}

func (c Classroom) spreads() (ready, memory Spread) {
	var seconds, mebibytes []float64
	for _, lab := range c.Labs {
		seconds = append(seconds, lab.Ready)
		mebibytes = append(mebibytes, lab.Memory)
	}
	return spread(seconds), spread(mebibytes)
}

func above(a, b float64) float64 { return 100 * (a/b - 1) }

// verdict compares a value with its goal and with the value of the previous run. It reports a change only if the ranges
// of the two runs do not overlap. A value that was measured once must differ by more than a tenth.
func (v Value) verdict(before Value, known bool) (goal, change string) {
	switch {
	case v.Goal == 0:
	case v.Median <= v.Goal:
		goal = fmt.Sprintf("met (%g)", v.Goal)
	default:
		goal = fmt.Sprintf("MISSED (%g)", v.Goal)
	}
	if !known || before.Median == 0 || v.Unit == "%" {
		return goal, ""
	}
	change = fmt.Sprintf("%+.0f %%", above(v.Median, before.Median))
	margin := 0.0
	if v.Runs < 2 {
		margin = 0.1 * before.Median
	}
	switch {
	case v.Min > before.Max+margin:
		change += " WORSE"
	case v.Max < before.Min-margin:
		change += " better"
	}
	return goal, change
}

func (r *Results) print(before *Results) {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	row := func(cells ...any) {
		text := make([]string, len(cells))
		for i, cell := range cells {
			if text[i] = fmt.Sprint(cell); fmt.Sprintf("%T", cell) == "float64" {
				text[i] = fmt.Sprintf("%.2f", cell)
			}
		}
		fmt.Fprintln(out, "  "+strings.Join(text, "\t"))
	}
	section := func(title string) {
		out.Flush()
		fmt.Fprintf(out, "\n%s\n", title)
	}
	m := r.Machine
	section(fmt.Sprintf("Measured on %d cores (%s), %.0f GiB, Docker Engine %s (%s), Compose %s, %s; load before: %s",
		m.Cores, m.CPU, m.MemoryGiB, m.Engine, m.Storage, m.Compose, m.Go, m.Load))
	if r.Quick {
		fmt.Fprintln(out, "A quick run: it shows that measuring works, and no more.")
	}
	if s := r.Start; s != nil {
		section(fmt.Sprintf("Time to first success: seconds since docker compose up -d, %d runs", s.Success.Runs))
		row("", "median", "min", "max")
		for _, stage := range s.Stages {
			row(stage.Name, stage.At.Median, stage.At.Min, stage.At.Max)
		}
		row("docker compose up -d returned", s.Returned.Median, s.Returned.Min, s.Returned.Max)
		row(fmt.Sprintf("floor: %d times plain docker run", len(services)), s.Floor.Median, s.Floor.Min, s.Floor.Max)
		if s.EarlyErrors > 0 {
			row("failed requests before the first success", s.EarlyErrors)
		}
	}
	if f := r.Footprint; f != nil {
		section(fmt.Sprintf("An idle lab, over %.0f s", f.Seconds))
		row("", "MiB", "% of a core")
		for _, c := range f.Containers {
			row(c.Service, c.MemoryMiB, c.CPUPercent)
		}
		row("all", f.MemoryMiB, f.CPUPercent)
		section("Images")
		row("", "MiB")
		for _, image := range f.Images {
			row(image.Name, image.MiB, map[bool]string{true: "for scenarios only"}[image.Scenarios])
		}
		row("to download, compressed", f.Download.MiB, fmt.Sprintf("%d layers, each counted once", f.Download.Layers))
		if f.Download.BuiltHere {
			fmt.Fprintln(out, "  SPIRE's images were built on this machine: the official ones were not measured.")
		}
	}
	if p := r.Path; p != nil {
		section("One request and its answer, both sides in one process: microseconds, medians")
		row("", "static", "go-spiffe", "", "CPU static", "CPU go-spiffe", "", "p")
		for _, c := range p.Benchmarks {
			row(c.Program+", "+c.Connection+" connection",
				c.Static.Microseconds.Median, c.SPIFFE.Microseconds.Median, fmt.Sprintf("%+.1f %%", c.Above.Median),
				c.Static.CPU.Median, c.SPIFFE.CPU.Median, fmt.Sprintf("%+.1f %%", c.AboveCPU.Median), fmt.Sprintf("%.3f", c.P))
		}
		section("Where the CPU time of a request on a new connection goes: microseconds below each function")
		row("", "static", "go-spiffe")
		for _, s := range p.Profile {
			row(s.Function, s.Static, s.SPIFFE)
		}
		section("Between two containers: milliseconds")
		row("", "requests", "rate", "p50", "p99", "max")
		for _, t := range p.Real {
			row(t.Kind+", "+t.Connection+" connection", t.Requests, t.Rate, t.P50, t.P99, t.Max)
		}
	}
	if len(r.Classrooms) > 0 {
		section("Classrooms: medians")
		row("labs", "ready after, s", "memory of a lab, MiB", "all in, s per lab", "from the machine, MiB per lab")
		for _, c := range r.Classrooms {
			ready, memory := c.spreads()
			row(c.N, ready.Median, memory.Median, c.Seconds/float64(c.N), c.MachineMemory/float64(c.N))
		}
	}
	section("The figures that matter")
	row("", "median", "min", "max", "unit", "goal, at most", "since the run before")
	for _, name := range slices.Sorted(maps.Keys(r.Figures)) {
		value := r.Figures[name]
		var old Value
		known := false
		if before != nil && before.Quick == r.Quick {
			old, known = before.Figures[name]
		}
		goal, change := value.verdict(old, known)
		row(name, value.Median, value.Min, value.Max, value.Unit, goal, change)
	}
	out.Flush()
}

func machine(ctx context.Context) (Machine, error) {
	m := Machine{CPU: "unknown", Go: runtime.Version(), Load: os.Getenv("BENCH_LOAD")}
	out, err := docker(ctx, "info", "--format", "{{.NCPU}} {{.MemTotal}} {{.Driver}} {{.ServerVersion}}")
	if err != nil {
		return m, err
	}
	var bytes float64
	if _, err := fmt.Sscan(out, &m.Cores, &bytes, &m.Storage, &m.Engine); err != nil {
		return m, fmt.Errorf("docker info said %q: %w", out, err)
	}
	m.MemoryGiB = bytes / (1 << 30)
	if m.Compose, err = compose(ctx, "version", "--short"); err != nil {
		return m, err
	}
	text, _ := os.ReadFile("/proc/cpuinfo") // only Linux has this file; on other systems the CPU stays unknown
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			m.CPU = strings.Trim(name, " \t:\n")
			break
		}
	}
	return m, nil
}
