//go:build linux

package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// From kept samples come the table, the charts and the document.
func TestOutput(t *testing.T) {
	dir := t.TempDir()
	saved, doc, charts := filepath.Join(dir, "run.json"), filepath.Join(dir, "docs", "benchmarks.md"), filepath.Join(dir, "docs", "charts")
	if err := testReport().save(saved); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(doc), 0o755); err != nil {
		t.Fatal(err)
	}
	before := "# Title\n\nabove\n\n" + markBeginPrefix + " -->\nOLD TABLE\n" + markEnd + "\n\nbelow\n"
	if err := os.WriteFile(doc, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	if err := run(context.Background(), []string{"-from", saved, "-plot", charts, "-markdown", doc}, &table, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"W1  echo", "2.00 (1.50..4.00)", "0.95", "NOISY", "W1, std net, round 4: broke",
		"netstream epoll: CPU per message, of std net", "at most 0.85", "0.50 (0.25..0.50)  yes",
	} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %q in\n%s", want, table.String())
		}
	}
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"above", "below", "| netstream epoll | 175 | 2.00 (1.50..4.00) |", "| at least 0.95 | 0.95", "(charts/w1.svg)"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "OLD TABLE") {
		t.Error("the old table is still there")
	}
	svg, err := os.ReadFile(filepath.Join(charts, "w1.svg"))
	if err != nil || !strings.Contains(string(svg), "netstream epoll") {
		t.Errorf("chart: %v", err)
	}
	if err := os.WriteFile(doc, []byte("no marks"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := replaceMarked(doc, "x"); err == nil {
		t.Error("a document without marks was written")
	}
	fresh := filepath.Join(dir, "fresh.md")
	if err := replaceMarked(fresh, "x"); err != nil {
		t.Fatal(err)
	}
	if err := replaceMarked(fresh, "y"); err != nil {
		t.Error(err)
	}
}
