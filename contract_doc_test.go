package netstream_test

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
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
		row.scenarios = strings.TrimSpace(cells[4])
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

// existingTests returns the test functions of this module and the string literals of the tests, which are the names
// of their cases.
func existingTests(t *testing.T) (functions, literals map[string]bool) {
	t.Helper()
	functions, literals = map[string]bool{}, map[string]bool{}
	for _, f := range sourceFiles(t) {
		if !f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				functions[fn.Name.Name] = true
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					literals[s] = true
				}
			}
			return true
		})
	}
	return functions, literals
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
	functions, literals := existingTests(t)
	for _, row := range readContract(t) {
		if len(row.tests) == 0 && !strings.HasPrefix(row.verdict, "n/a") {
			t.Errorf("row %d: no test holds it", row.number)
		}
		for _, test := range row.tests {
			if !functions[test.function] {
				t.Errorf("row %d: there is no %s", row.number, test.function)
			}
			if test.name != "" && !literals[test.name] {
				t.Errorf("row %d: %s has no case %q", row.number, test.function, test.name)
			}
		}
	}
}

// scenariosByRow reads which scenarios claim which row, in the order of the files, as the page writes them.
func scenariosByRow(t *testing.T) map[int]string {
	t.Helper()
	files, err := filepath.Glob("interop/testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	byRow := map[int][]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var name string
		for line := range strings.Lines(string(text)) {
			words := strings.Fields(line)
			switch {
			case len(words) > 1 && words[0] == "scenario":
				name = words[1]
			case len(words) > 1 && words[0] == "rows":
				for _, w := range words[1:] {
					n, err := strconv.Atoi(w)
					if err != nil {
						t.Fatalf("%s: rows of %s: %v", file, name, err)
					}
					byRow[n] = append(byRow[n], "`"+name+"`")
				}
			}
		}
	}
	out := map[int]string{}
	for n, names := range byRow {
		out[n] = strings.Join(names, ", ")
	}
	return out
}

func TestContractPageNamesEveryScenario(t *testing.T) {
	byRow := scenariosByRow(t)
	for _, row := range readContract(t) {
		if row.scenarios != byRow[row.number] {
			t.Errorf("row %d: the page names the scenarios %q, these claim it: %q", row.number, row.scenarios, byRow[row.number])
		}
	}
}
