//go:build linux

// Command bench compares netstream with other ways of serving connections, each in a process of its own under the
// same load. README.md in its directory says how, and how to add a contender.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

func main() {
	childMain(os.Args)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "bench: interrupted")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	settings
	workloads  []workload
	contenders []*contender
	json       string
	from       string
	plots      string
	markdown   string
}

// Limits on what the command line can ask for.
const (
	maxRounds   = 100
	maxMeasure  = time.Minute
	maxPatience = time.Hour
)

func parse(args []string, errOut io.Writer) (*options, error) {
	o := &options{settings: settings{Paced: time.Second}}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(errOut)
	quick := flags.Bool("quick", false, "a short run that ends in under two minutes and leaves out some of the hubs and idle connections")
	only := flags.String("only", "", "workloads, separated by commas: "+ids(workloads())+"; W4, W5, W7 mean both of theirs (default all)")
	contenders := flags.String("contenders", "", "contenders, separated by commas; the one that others are compared to always takes part (default all)")
	flags.IntVar(&o.Rounds, "rounds", 10, "how often each cell is measured")
	flags.DurationVar(&o.Warmup, "warmup", 250*time.Millisecond, "traffic before each measurement, which does not count")
	flags.DurationVar(&o.Measure, "measure", 600*time.Millisecond, "length of each measurement; unless it is given, that of a hub is 1s, with -quick 500ms")
	flags.DurationVar(&o.Patience, "patience", 0, "how long, in all, to wait for a quiet machine and to repeat measurements that other processes disturbed")
	flags.IntVar(&o.Procs, "procs", 1, "cores of the process under test, and its GOMAXPROCS")
	flags.Uint64Var(&o.Seed, "seed", 0, "seed of the order of contenders (default: a new one)")
	flags.StringVar(&o.json, "json", "", "keep the raw samples in this `file`")
	flags.StringVar(&o.from, "from", "", "measure nothing: take the samples of this `file`")
	flags.StringVar(&o.plots, "plot", "", "write SVG charts into this `directory`")
	flags.StringVar(&o.markdown, "markdown", "", "put the tables between the marks of this `file`")
	flags.StringVar(&o.Profiles, "profile", "", "write CPU profiles of the first round into this `directory`")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	given := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if *quick {
		o.Limit = 95 * time.Second
		preset(given, "rounds", &o.Rounds, 3)
		preset(given, "warmup", &o.Warmup, 60*time.Millisecond)
		preset(given, "measure", &o.Measure, 150*time.Millisecond)
		o.Paced = 500 * time.Millisecond
	}
	if given["measure"] {
		o.Paced = o.Measure
	}
	preset(given, "seed", &o.Seed, rand.Uint64())
	var err error
	if o.workloads, err = selectWorkloads(*only); err != nil {
		return nil, err
	}
	if *quick && *only == "" {
		o.workloads = quickWorkloads()
	}
	if o.contenders, err = selectContenders(*contenders, o.workloads); err != nil {
		return nil, err
	}
	return o, o.check()
}

func preset[T any](given map[string]bool, name string, field *T, value T) {
	if !given[name] {
		*field = value
	}
}

func (o *options) check() error {
	switch {
	case o.Rounds < 1 || o.Rounds > maxRounds:
		return fmt.Errorf("-rounds must be between 1 and %d", maxRounds)
	case o.Measure < 10*time.Millisecond || o.Measure > maxMeasure || o.Warmup < 0 || o.Warmup > maxMeasure:
		return fmt.Errorf("-measure must be between 10ms and %v, -warmup at most that", maxMeasure)
	case o.Patience < 0 || o.Patience > maxPatience:
		return fmt.Errorf("-patience must be between 0 and %v", maxPatience)
	case o.Procs < 1:
		return errors.New("-procs must be at least 1")
	}
	return nil
}

func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	o, err := parse(args, errOut)
	if err != nil {
		return err
	}
	var r *report
	if o.from != "" {
		r, err = loadReport(o.from)
	} else {
		r, err = o.measureAll(ctx, errOut)
	}
	if r == nil {
		return err
	}
	interrupted := err
	if o.json != "" {
		if err := r.save(o.json); err != nil {
			return err
		}
	}
	if interrupted != nil {
		return interrupted
	}
	if err := r.writeTable(out); err != nil {
		return err
	}
	if o.plots != "" {
		if err := r.writeCharts(o.plots); err != nil {
			return err
		}
	}
	if o.markdown != "" {
		return o.writeMarkdown(r)
	}
	return nil
}

func (o *options) writeMarkdown(r *report) error {
	charts := ""
	if o.plots != "" {
		var err error
		if charts, err = relative(filepath.Dir(o.markdown), o.plots); err != nil {
			return err
		}
	}
	return replaceMarked(o.markdown, r.markdown(charts))
}

// relative is filepath.Rel of paths that may be absolute or not.
func relative(from, to string) (string, error) {
	from, err := filepath.Abs(from)
	if err != nil {
		return "", err
	}
	if to, err = filepath.Abs(to); err != nil {
		return "", err
	}
	return filepath.Rel(from, to)
}

// measureAll makes the run. On an interrupt it returns what there is, and the error.
func (o *options) measureAll(ctx context.Context, errOut io.Writer) (*report, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c, err := pickCores(o.Procs)
	if err != nil {
		return nil, err
	}
	if o.Profiles != "" {
		if err := os.MkdirAll(o.Profiles, 0o755); err != nil {
			return nil, err
		}
	}
	r := &runner{settings: o.settings, cores: c, executable: executable, progress: progress(errOut)}
	r.report = &report{Format: reportFormat, Started: time.Now(), Machine: thisMachine(), Cores: c, Settings: o.settings}
	err = r.run(ctx, o.workloads, o.contenders)
	return r.report, err
}

// progress shows a bar on a terminal, and elsewhere a line now and then.
func progress(out io.Writer) func(done, all int, what string) {
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		var bar *progressbar.ProgressBar
		return func(done, all int, what string) {
			if bar == nil {
				bar = progressbar.NewOptions(all, progressbar.OptionSetWriter(out), progressbar.OptionShowCount(),
					progressbar.OptionSetPredictTime(true), progressbar.OptionFullWidth(), progressbar.OptionClearOnFinish())
			}
			bar.Describe(what)
			_ = bar.Set(done) // a bar that cannot be drawn stops nothing
		}
	}
	var last time.Time
	return func(done, all int, what string) {
		if now := time.Now(); now.Sub(last) > 5*time.Second || done == all {
			last = now
			fmt.Fprintf(out, "%d of %d  %s\n", done, all, what)
		}
	}
}

func loadReport(file string) (*report, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := new(report)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if r.Format != reportFormat {
		return nil, fmt.Errorf("%s: format %d, this program reads %d", file, r.Format, reportFormat)
	}
	return r, nil
}

func (r *report) save(file string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
