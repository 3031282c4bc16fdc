package kit

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// Main is for the TestMain of every package of tests: it fails the run when goroutines or descriptors are left over.
func Main(m *testing.M) {
	if r, w, err := os.Pipe(); err == nil { // from here on the runtime has its poller's descriptors
		r.Close()
		w.Close()
	}
	LeaveOut()
	atStart = OpenDescriptors()
	code := m.Run()
	if code == 0 {
		code = awaitLeftovers()
	}
	os.Exit(code)
}

// awaitLeftovers returns 0 as soon as nothing is left over, and 1 when something stays.
func awaitLeftovers() (code int) {
	left, err := leftovers()
	for end := time.Now().Add(Patience / 2); (err != nil || len(left) > 0) && time.Now().Before(end); left, err = leftovers() {
		time.Sleep(10 * time.Millisecond) // closed connections linger for a while
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "goroutines left over:", err)
		code = 1
	}
	if len(left) > 0 {
		fmt.Fprintln(os.Stderr, "descriptors left over:", left)
		code = 1
	}
	return code
}
