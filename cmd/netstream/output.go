package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"

	"golang.org/x/term"
)

// output writes the lines of the demo. Callbacks print as well, so any goroutine may use it. The first error of the
// writer is kept: what comes after it goes nowhere, and the demo ends with that error.
type output struct {
	terminal bool // constant: a person is watching, so a line may be redrawn
	columns  int  // constant: the width of the terminal

	mu  sync.Mutex
	w   io.Writer // protected by mu
	err error     // protected by mu
}

func newOutput(w io.Writer) *output {
	o := &output{w: w}
	if f, ok := w.(*os.File); ok && os.Getenv("TERM") != "dumb" {
		columns, _, err := term.GetSize(int(f.Fd())) // fails when f is not a terminal
		o.terminal, o.columns = err == nil, columns
	}
	return o
}

// Write lets the progress bar draw through the same lock and the same error.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.w.Write(p)
	if err != nil {
		o.err = fmt.Errorf("write output: %w", err)
	}
	return n, o.err
}

// heading starts a step.
func (o *output) heading(format string, args ...any) {
	_, _ = fmt.Fprintf(o, "\n"+format+"\n", args...) // kept in o.err
}

// say prints one line of a step: who did it, and what.
func (o *output) say(who, format string, args ...any) {
	_, _ = fmt.Fprintf(o, "   %-9s %s\n", who, fmt.Sprintf(format, args...)) // kept in o.err
}

// failed is the first error of the writer, nil while all is well.
func (o *output) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// commas writes a count the way people read it: 1,234,567.
func commas(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// byteSize writes a size in binary units: 512 B, 1.5 KiB, 3.2 MiB.
func byteSize(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	size, unit := float64(n)/1024, 0
	for size >= 1024 && unit < len("KMGT")-1 {
		size, unit = size/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", size, "KMGT"[unit])
}
