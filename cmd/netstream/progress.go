package main

import (
	"time"

	"github.com/schollz/progressbar/v3"
)

// A line of the bar is the bar itself, at most barWidth wide, and up to barRest columns of description, percentage,
// rate and time.
const (
	barWidth = 30
	barRest  = 42
)

// progress shows how far a transfer is: a bar on a terminal, elsewhere one line per quarter. One goroutine at a time
// may use it.
type progress struct {
	out     *output
	total   int64
	bar     *progressbar.ProgressBar // nil off a terminal
	quarter int64                    // quarters already printed
}

func newProgress(out *output, total int64) *progress {
	p := &progress{out: out, total: total}
	if out.terminal && total > 0 {
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(out),
			progressbar.OptionSetDescription("   sending"),
			progressbar.OptionSetWidth(min(barWidth, max(1, out.columns-barRest))),
			progressbar.OptionShowBytes(true),
			progressbar.OptionUseIECUnits(true),
			progressbar.OptionThrottle(50*time.Millisecond),
		)
	}
	return p
}

// set tells that done bytes have arrived. A file that grew since it was measured stays at 100 %.
func (p *progress) set(done int64) {
	done = min(done, p.total)
	if p.bar != nil {
		_ = p.bar.Set64(done) // an error of the writer is kept in p.out
		return
	}
	for p.quarter < 4 && done*4 >= p.total*(p.quarter+1) && p.total > 0 {
		p.quarter++
		p.out.say("sending", "%3d %%  %s of %s", p.quarter*25, byteSize(done), byteSize(p.total))
	}
}

// close leaves the bar as it stands and moves to the next line.
func (p *progress) close() {
	if p.bar != nil {
		_ = p.bar.Exit() // never fails
		_, _ = p.out.Write([]byte("\n"))
	}
}
