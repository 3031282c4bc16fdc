package netstream_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// platformRow is one line of the table in docs/platforms.md.
type platformRow struct{ system, kind, engine, seen string }

func platformRows(t *testing.T) (rows []platformRow) {
	t.Helper()
	text, err := os.ReadFile("docs/platforms.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(strings.TrimSpace(line), " | "); len(cells) == 4 && strings.Contains(cells[0], "/") {
			rows = append(rows, platformRow{strings.TrimPrefix(cells[0], "| "), cells[1], cells[2], strings.TrimSuffix(cells[3], " |")})
		}
	}
	return rows
}

func TestPlatformsNamesEverySystemOfGo(t *testing.T) {
	list, err := exec.Command("go", "tool", "dist", "list").Output()
	if err != nil {
		t.Skipf("the go command does not run here: %v", err)
	}
	var named []string
	for _, row := range platformRows(t) {
		named = append(named, row.system)
	}
	for _, system := range strings.Fields(string(list)) {
		if !slices.Contains(named, system) {
			t.Errorf("docs/platforms.md does not name %s", system)
		}
	}
	if !slices.IsSorted(named) || len(slices.Compact(slices.Clone(named))) != len(named) {
		t.Error("the rows are not in order, or one stands twice")
	}
}

// What the table says was seen is what a section of .ci/run does.
func TestPlatformsSaysWhatIsRun(t *testing.T) {
	script, err := os.ReadFile(".ci/run")
	if err != nil {
		t.Fatal(err)
	}
	targets := strings.Fields(string(regexp.MustCompile(`TARGETS="([^"]*)"`).FindSubmatch(script)[1]))
	section := regexp.MustCompile("`.ci/run ([a-z0-9]+)`")
	for _, row := range platformRows(t) {
		if built := strings.Contains(row.seen, "tests built"); built != slices.Contains(targets, row.system) && !strings.Contains(row.seen, "all tests") {
			t.Errorf("%s: tests built %t, which is not what the section cross does", row.system, built)
		}
		for _, name := range section.FindAllStringSubmatch(row.seen, -1) {
			if !strings.Contains(string(script), "\nsection_"+name[1]+"() {") {
				t.Errorf("%s: .ci/run has no section %s", row.system, name[1])
			}
		}
		if row.seen == "" || row.engine == "" || !strings.Contains("linux unix windows memory plan9", row.kind) {
			t.Errorf("%s: incomplete", row.system)
		}
	}
}
