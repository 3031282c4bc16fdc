package fanout_test

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

const raceChildEnv = "NETSTREAM_TEST_RACE_CHILD" // the name of a kit.ConnCase

// runRaceChild runs a test of this program in a process of its own and returns what it prints.
func runRaceChild(t *testing.T, test, connCase string) string {
	t.Helper()
	exe, err := os.Executable()
	kit.Must(t, err)
	cmd := exec.Command(exe, "-test.run", test, "-test.timeout", "1m")
	cmd.Env = append(os.Environ(), raceChildEnv+"="+connCase, "GORACE=halt_on_error=1")
	out, _ := cmd.CombinedOutput()
	return string(out)
}

// TestPost_RaceChild changes a message that it has posted.
func TestPost_RaceChild(t *testing.T) {
	name := os.Getenv(raceChildEnv)
	if name == "" {
		t.Skip("a child of TestPost_ChangingAPostedMessageIsARace")
	}
	for _, c := range kit.ConnCases {
		if c.Name != name {
			continue
		}
		a, b := c.Pair(t, nil, nil)
		p := []byte("posted")
		kit.Must(t, a.Post(p))
		readPosted(b)
		p[0] = 'x'
	}
}

// readPosted waits for a posted message without anything that would order what follows behind the reading of it.
func readPosted(*netstream.NetworkStream) { time.Sleep(50 * time.Millisecond) }
