package main

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

func TestCommas(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 200_000: "200,000", 1_234_567: "1,234,567",
		-7: "-7", -999: "-999", -1000: "-1,000", -123_456: "-123,456", math.MaxInt64: "9,223,372,036,854,775,807",
	} {
		if got := commas(n); got != want {
			t.Errorf("commas(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestByteSize(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 20: "1.0 MiB", 5 << 30: "5.0 GiB",
		3 << 40: "3.0 TiB", math.MaxInt64: "8388608.0 TiB",
	} {
		if got := byteSize(n); got != want {
			t.Errorf("byteSize(%d) = %q, want %q", n, got, want)
		}
	}
}

// TestProgressInLines holds that a transfer costs four lines at most, whatever the size of its pieces.
func TestProgressInLines(t *testing.T) {
	const quarters = " 25 % 50 % 75 % 100 %"
	tests := []struct {
		name  string
		total int64
		done  []int64
		want  string
	}{
		{"nothing to send", 0, []int64{0, 5}, ""},
		{"one byte", 1, []int64{1}, quarters},
		{"byte by byte", 4, []int64{1, 2, 3, 4}, quarters},
		{"none yet", 100, []int64{0, 24}, ""},
		{"half of it", 100, []int64{10, 60, 74}, " 25 % 50 %"},
		{"more than there was", 100, []int64{40, 1000, 2000}, quarters},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var text bytes.Buffer
			p := newProgress(newOutput(&text), tt.total)
			for _, done := range tt.done {
				p.set(done)
			}
			p.close()
			var got strings.Builder
			for line := range strings.Lines(text.String()) {
				got.WriteString(" " + strings.Join(strings.Fields(line)[1:3], " "))
			}
			if got.String() != tt.want {
				t.Errorf("got %q, want %q in\n%s", got.String(), tt.want, text.String())
			}
		})
	}
}

// TestProgressBar holds that on a terminal of any width the transfer stays on one line, which ends at 100 %.
func TestProgressBar(t *testing.T) {
	for _, columns := range []int{0, 20, 60, 80, 300} {
		var text bytes.Buffer
		out := &output{w: &text, terminal: true, columns: columns}
		p := newProgress(out, 1000)
		for done := int64(0); done <= 2000; done += 50 {
			p.set(done)
		}
		p.close()
		got := text.String()
		if strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\n") || !strings.Contains(got, "sending 100%") {
			t.Errorf("%d columns: %q", columns, got)
		}
	}
	var text bytes.Buffer
	p := newProgress(&output{w: &text, terminal: true}, 0) // the bar knows no empty transfer
	p.set(0)
	p.close()
	if text.Len() > 0 {
		t.Errorf("empty transfer: %q", text.String())
	}
}
