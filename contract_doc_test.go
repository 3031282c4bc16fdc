package netstream_test

import (
	"go/ast"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The rows of the catalogue that docs/contract.md goes through.
const contractRows = 200

// contractRow is one row of the page's table.
type contractRow struct {
	number    int
	situation string
	verdict   string
	tests     []contractTest
	scenarios string
	unseen    string // why no scenario shows the difference
}

// contractTest names a test and, if not empty, one of its cases.
type contractTest struct{ function, name string }

var (
	verdictForm = regexp.MustCompile(`^(same|different: \S.+|n/a: \S.+)$`)
	testForm    = regexp.MustCompile("^`(Test\\w+)(?:/([^`]+))?`$")
	testBreak   = regexp.MustCompile("`, `")
)

// readContract returns the rows of the table, in the page's order.
func readContract(t *testing.T) []contractRow {
	t.Helper()
	text, err := os.ReadFile("docs/contract.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []contractRow
	for i, line := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| row ") {
			continue
		}
		cells := strings.Split(strings.TrimSuffix(strings.TrimPrefix(line, "|"), "|"), " | ")
		if len(cells) != 5 {
			t.Errorf("line %d has %d cells, want 5: %s", i+1, len(cells), line)
			continue
		}
		row := contractRow{situation: strings.TrimSpace(cells[1]), verdict: strings.TrimSpace(cells[2])}
		if row.number, err = strconv.Atoi(strings.TrimSpace(cells[0])); err != nil {
			t.Errorf("line %d: %v", i+1, err)
			continue
		}
		row.tests = parseTests(t, row.number, strings.TrimSpace(cells[3]))
		row.scenarios, row.unseen, _ = strings.Cut(strings.TrimSpace(cells[4]), "none shows it: ")
		row.scenarios = strings.TrimSuffix(row.scenarios, "; ")
		rows = append(rows, row)
	}
	return rows
}

func parseTests(t *testing.T, number int, cell string) []contractTest {
	t.Helper()
	if cell == "-" {
		return nil
	}
	var tests []contractTest
	for _, part := range strings.Split(testBreak.ReplaceAllString(cell, "`\n`"), "\n") {
		m := testForm.FindStringSubmatch(part)
		if m == nil {
			t.Errorf("row %d: %q names no test", number, part)
			continue
		}
		tests = append(tests, contractTest{m[1], m[2]})
	}
	return tests
}

// existingTests returns the test functions of this module, each with the string literals in it, among which are the
// names of its cases, and the literals of the tables that several tests share.
func existingTests(t *testing.T) (functions map[string]map[string]bool, tables map[string]bool) {
	t.Helper()
	functions, tables = map[string]map[string]bool{}, map[string]bool{}
	for _, f := range sourceFiles(t) {
		if !f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && strings.HasPrefix(d.Name.Name, "Test") {
					functions[d.Name.Name] = literalsIn(d)
				}
			case *ast.GenDecl:
				maps.Copy(tables, literalsIn(d))
			}
		}
	}
	return functions, tables
}

func literalsIn(n ast.Node) map[string]bool {
	literals := map[string]bool{}
	ast.Inspect(n, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil {
				literals[s] = true
			}
		}
		return true
	})
	return literals
}

func TestContractPageIsComplete(t *testing.T) {
	rows := readContract(t)
	seen := map[int]bool{}
	for i, row := range rows {
		switch {
		case row.number < 1 || row.number > contractRows:
			t.Errorf("row %d: there is no such row", row.number)
		case seen[row.number]:
			t.Errorf("row %d is there twice", row.number)
		case row.number != i+1:
			t.Errorf("row %d stands in place of row %d", row.number, i+1)
		}
		seen[row.number] = true
		if row.situation == "" {
			t.Errorf("row %d: no situation", row.number)
		}
		if !verdictForm.MatchString(row.verdict) {
			t.Errorf("row %d: the verdict %q is none of same, different: why, n/a: why", row.number, row.verdict)
		}
	}
	for n := 1; n <= contractRows; n++ {
		if !seen[n] {
			t.Errorf("row %d is missing", n)
		}
	}
}

func TestContractPageNamesTests(t *testing.T) {
	functions, tables := existingTests(t)
	for _, row := range readContract(t) {
		if len(row.tests) == 0 && !strings.HasPrefix(row.verdict, "n/a") {
			t.Errorf("row %d: no test holds it", row.number)
		}
		for _, test := range row.tests {
			cases, ok := functions[test.function]
			if !ok {
				t.Errorf("row %d: there is no %s", row.number, test.function)
			}
			if test.name != "" && !cases[test.name] && !tables[test.name] {
				t.Errorf("row %d: %s has no case %q", row.number, test.function, test.name)
			}
		}
	}
}

// contractScenario is what a scenario says about itself: the rows that it claims, and where the two sides differ.
type contractScenario struct {
	name     string
	rows     []int
	reasons  []string // those of its steps in which this library's answer differs from .NET's
	oneSided bool     // only one of the two runs it: what the other one does is chance, or no step
}

var differenceForm = regexp.MustCompile(`^netstream: .* \(((?:promise|row) [^()]+)\)$`)

// readScenarios reads the scenarios of interop, in the order of the files.
func readScenarios(t *testing.T) []contractScenario {
	t.Helper()
	files, err := filepath.Glob("interop/testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	var all []contractScenario
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if name, ok := strings.CutPrefix(line, "scenario "); ok {
				all = append(all, contractScenario{name: name})
				continue
			}
			if len(all) > 0 {
				all[len(all)-1].read(t, line)
			}
		}
	}
	return all
}

// read takes one line of the scenario in.
func (s *contractScenario) read(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(line)
	switch {
	case strings.HasPrefix(line, "netstream:"):
		m := differenceForm.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("scenario %s: no reason in %q", s.name, line)
		}
		s.reasons = append(s.reasons, m[1])
	case strings.HasPrefix(line, "not-on net9:"), strings.HasPrefix(line, "not-on netstream:"):
		s.oneSided = true
	case len(words) > 1 && words[0] == "rows":
		for _, w := range words[1:] {
			n, err := strconv.Atoi(w)
			if err != nil {
				t.Fatalf("rows of scenario %s: %v", s.name, err)
			}
			s.rows = append(s.rows, n)
		}
	}
}

// scenariosByRow returns the scenarios that claim each row.
func scenariosByRow(t *testing.T) map[int][]contractScenario {
	t.Helper()
	byRow := map[int][]contractScenario{}
	for _, s := range readScenarios(t) {
		for _, n := range s.rows {
			byRow[n] = append(byRow[n], s)
		}
	}
	return byRow
}

func TestContractPageNamesEveryScenario(t *testing.T) {
	byRow := scenariosByRow(t)
	for _, row := range readContract(t) {
		var names []string
		for _, s := range byRow[row.number] {
			names = append(names, "`"+s.name+"`")
		}
		if want := strings.Join(names, ", "); row.scenarios != want {
			t.Errorf("row %d: the page names the scenarios %q, these claim it: %q", row.number, row.scenarios, want)
		}
	}
}

var reasonForm = regexp.MustCompile(`(promise|row)s? (\d+)(?: and (\d+))?`)

// gives reports whether the row's verdict has the same reason as a scenario: a promise or a row that it names, or the
// row itself.
func (r *contractRow) gives(reason string) bool {
	want := reasonForm.FindStringSubmatch(reason)
	if want == nil {
		return false
	}
	if want[1] == "row" && want[2] == strconv.Itoa(r.number) {
		return true
	}
	return slices.ContainsFunc(reasonForm.FindAllStringSubmatch(r.verdict, -1), func(m []string) bool {
		return m[1] == want[1] && slices.Contains(m[2:], want[2])
	})
}

// The verdicts are what the scenarios print: "same" in every one that claims the row, "different" in at least one and
// for the row's own reason, or the page says why none can show it.
func TestContractVerdictsAreWhatTheScenariosPrint(t *testing.T) {
	byRow := scenariosByRow(t)
	for _, row := range readContract(t) {
		var differ, agree []string
		word, _, _ := strings.Cut(row.verdict, ":")
		for _, s := range byRow[row.number] {
			if s.oneSided || word == "same" && len(s.reasons) > 0 || slices.ContainsFunc(s.reasons, row.gives) {
				differ = append(differ, s.name)
			} else {
				agree = append(agree, s.name)
			}
		}
		switch {
		case word == "same" && len(differ) > 0:
			t.Errorf("row %d is called the same, and these show a difference: %v", row.number, differ)
		case word == "n/a" && len(differ)+len(agree) > 0:
			t.Errorf("row %d is called n/a, and has scenarios: %v %v", row.number, differ, agree)
		case word == "different" && len(differ) == 0 && row.unseen == "":
			t.Errorf("row %d is called different, and no scenario shows it: %v", row.number, agree)
		case row.unseen != "" && (word != "different" || len(differ) > 0):
			t.Errorf("row %d says why no scenario shows a difference, and is %q with %v", row.number, word, differ)
		}
	}
}
