package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each block of code in docs/porting.md stands, line for line, in a file that is compiled: here or by mcs.
func TestPortingBlocks(t *testing.T) {
	text, err := os.ReadFile("../docs/porting.md")
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{
		"go":     readAll(t, "*.go", "example/*.go"),
		"csharp": readAll(t, "dotnet/*.cs"),
	}
	blocks := map[string]int{}
	for i, part := range strings.Split(string(text), "```") {
		if i%2 == 0 {
			continue // the prose between
		}
		language, block, _ := strings.Cut(part, "\n")
		source, known := sources[language]
		if !known {
			continue
		}
		blocks[language]++
		if !strings.Contains(source, flatten(block)) {
			t.Errorf("this block is in no compiled source:\n%s", block)
		}
	}
	if blocks["go"] < 5 || blocks["csharp"] < 1 {
		t.Errorf("only %v blocks", blocks)
	}
}

func readAll(t *testing.T, patterns ...string) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all.WriteString(flatten(string(text)))
		}
	}
	return all.String()
}

// flatten takes off what indents lines.
func flatten(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString(strings.TrimSpace(line))
		out.WriteByte('\n')
	}
	return out.String()
}
