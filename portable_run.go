package netstream

import (
	"sync"

	"github.com/seed-9ac8cf60/netstream/internal/loop"
)

// starter is the start of a goroutine. A go statement that has anything to pass on allocates; one with a function that
// is there already does not.
type starter struct {
	runner loop.Runner
	body   func() // constant once there: run
}

var starters = sync.Pool{New: func() any { return new(starter) }}

// startGoroutine has r run on a goroutine of its own.
func startGoroutine(r loop.Runner) {
	st := starters.Get().(*starter)
	if st.body == nil {
		st.body = st.run
	}
	st.runner = r
	go st.body()
}

func (st *starter) run() {
	r := st.runner
	st.runner = nil
	starters.Put(st)
	r.Run()
}

// readCalls and writeCalls are a portable transport as the goroutine that makes one direction's blocking calls.
type (
	readCalls  portable
	writeCalls portable
)

// Run implements loop.Runner.
func (t *readCalls) Run() { (*portable)(t).calls(dirRead) }

// Run implements loop.Runner.
func (t *writeCalls) Run() { (*portable)(t).calls(dirWrite) }
