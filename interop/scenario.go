package interop

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// The runtimes that a scenario can speak about.
const (
	Net9      = "net9"      // what .NET 9 printed; every step has it
	Netstream = "netstream" // where this library differs on purpose
	Mono      = "mono"      // where Mono differs from .NET 9
)

// Scenario is one story on one or more connections, told in steps.
type Scenario struct {
	Name  string
	File  string
	Rows  []string          // rows of the contract that it holds
	NotOn map[string]string // runtime: why it cannot run there
	Steps []Step
}

// Step is one line of a scenario: a command and what it prints.
type Step struct {
	Line    int
	Words   []string
	Want    string            // .NET 9
	Differs map[string]string // runtime: what it prints instead
	Why     map[string]string // runtime: the reason that stands behind it
}

// Expected returns what the step prints on a runtime. "a | b" allows either.
func (s *Step) Expected(runtime string) string {
	if want, ok := s.Differs[runtime]; ok {
		return want
	}
	return s.Want
}

// Accepts reports whether got is what the step may print on a runtime.
func (s *Step) Accepts(runtime, got string) bool {
	return slices.Contains(strings.Split(s.Expected(runtime), " | "), got)
}

// Load reads the scenario files of a directory, in the order of their names.
func Load(directory string) ([]Scenario, error) {
	files, err := filepath.Glob(filepath.Join(directory, "*.txt"))
	if err != nil {
		return nil, err
	}
	var all []Scenario
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		scenarios, err := Parse(file, f)
		f.Close()
		if err != nil {
			return nil, err
		}
		all = append(all, scenarios...)
	}
	return all, nil
}

// Parse reads scenarios. The format is described in testdata/README.md.
func Parse(file string, r io.Reader) ([]Scenario, error) {
	p := parser{file: file}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		p.line++
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if err := p.take(text); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, p.line, err)
		}
	}
	return p.done, lines.Err()
}

type parser struct {
	file string
	line int
	done []Scenario
}

func (p *parser) take(text string) error {
	if name, ok := strings.CutPrefix(text, "scenario "); ok {
		p.done = append(p.done, Scenario{Name: strings.TrimSpace(name), File: p.file, NotOn: map[string]string{}})
		return nil
	}
	if len(p.done) == 0 {
		return fmt.Errorf("%q stands before the first scenario", text)
	}
	now := &p.done[len(p.done)-1]
	if rows, ok := strings.CutPrefix(text, "rows "); ok {
		now.Rows = append(now.Rows, strings.Fields(rows)...)
		return nil
	}
	if rest, ok := strings.CutPrefix(text, "not-on "); ok {
		runtime, why, _ := strings.Cut(rest, ": ")
		now.NotOn[runtime] = why
		return nil
	}
	for _, runtime := range []string{Netstream, Mono} {
		if rest, ok := strings.CutPrefix(text, runtime+": "); ok {
			return now.differ(runtime, strings.TrimSpace(rest))
		}
	}
	now.Steps = append(now.Steps, parseStep(p.line, text))
	return nil
}

func parseStep(line int, text string) Step {
	command, want, ok := strings.Cut(text, " -> ")
	if !ok {
		want = "ok"
	}
	return Step{
		Line: line, Words: strings.Fields(command), Want: strings.TrimSpace(want),
		Differs: map[string]string{}, Why: map[string]string{},
	}
}

// reason is what stands in brackets at the end of a line that differs: a promise, or a row and why.
var reason = regexp.MustCompile(` \(((?:promises?|row) [^()]+)\)$`)

func (s *Scenario) differ(runtime, text string) error {
	if len(s.Steps) == 0 {
		return fmt.Errorf("%q stands before the first step", text)
	}
	step := &s.Steps[len(s.Steps)-1]
	if found := reason.FindStringSubmatch(text); found != nil {
		step.Why[runtime] = found[1]
		text = strings.TrimSuffix(text, found[0])
	}
	if runtime == Netstream && step.Why[runtime] == "" {
		return fmt.Errorf("netstream differs, and no promise or row says why")
	}
	step.Differs[runtime] = text
	return nil
}
