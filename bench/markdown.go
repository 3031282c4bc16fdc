//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The generated part of a document stands between these two lines.
const (
	markBegin = "<!-- bench:begin (generated: cd bench && go run . -markdown ../docs/benchmarks.md) -->"
	markEnd   = "<!-- bench:end -->"

	markBeginPrefix = "<!-- bench:begin"
)

// markdown is the run as tables of a document. charts names the directory of the charts, seen from the document;
// empty: none.
func (r *report) markdown(charts string) string {
	var b strings.Builder
	for _, line := range r.conditions() {
		fmt.Fprintf(&b, "- %s\n", line)
	}
	fmt.Fprintf(&b, "- %s\n- %s\n", r.verdict(), explanation)
	if rows := r.targetRows(); len(rows) > 0 {
		fmt.Fprintf(&b, "\n### Targets\n\n| | | target | reached | met |\n|---|---|---:|---:|---|\n")
		for _, row := range rows {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		}
	}
	for _, w := range r.workloads() {
		columns := head(w)
		fmt.Fprintf(&b, "\n### %s: %s\n\n", w.ID, w.Title)
		if charts != "" {
			fmt.Fprintf(&b, "![%s: %s](%s/%s)\n\n", w.ID, w.Main, filepath.ToSlash(charts), chartName(w))
		}
		fmt.Fprintf(&b, "| | %s |\n|---|%s\n", strings.Join(columns, " | "), strings.Repeat("---:|", len(columns)))
		for _, row := range r.rows(w) {
			fmt.Fprintf(&b, "| %s | %s |\n", row.name, strings.Join(row.cells, " | "))
		}
		titles, parts := r.compositions(w)
		for i, title := range titles {
			fmt.Fprintf(&b, "\n%s:\n\n| bytes | allocated by |\n|---:|---|\n", title)
			for _, p := range parts[i] {
				fmt.Fprintf(&b, "| %.0f | `%s` |\n", p.Bytes, p.What)
			}
		}
		if line := r.rivalry(w); line != "" {
			fmt.Fprintf(&b, "\n%s\n", line)
		}
	}
	fmt.Fprintf(&b, "\n### The contenders\n\n")
	for _, c := range registry {
		fmt.Fprintf(&b, "- **%s**: %s.\n", c.name, c.about)
	}
	return b.String()
}

// replaceMarked puts text between the marks of a document. A document without marks is an error, one that does not
// exist is made.
func replaceMarked(file, text string) error {
	old, err := os.ReadFile(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		old = []byte("# Benchmarks\n\n" + markBegin + "\n" + markEnd + "\n")
	case err != nil:
		return err
	}
	begin := bytes.Index(old, []byte(markBeginPrefix))
	if begin < 0 {
		return fmt.Errorf("%s has no line that begins with %q", file, markBeginPrefix)
	}
	lineEnd := bytes.IndexByte(old[begin:], '\n')
	end := bytes.Index(old[begin:], []byte(markEnd))
	if lineEnd < 0 || end < lineEnd {
		return fmt.Errorf("%s has no %q after its beginning", file, markEnd)
	}
	var b bytes.Buffer
	b.Write(old[:begin+lineEnd+1])
	fmt.Fprintf(&b, "\n%s\n", text)
	b.Write(old[begin+end:])
	return os.WriteFile(file, b.Bytes(), 0o644)
}
