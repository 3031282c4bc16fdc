package kit

import (
	"flag"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// What a system cannot do is named here, with the reason, and the tests that need it are left out there. Whatever else
// does not hold is a fault. The package internal/tests/platform shows each reason with package net alone.

// HaveSockets is false where net's connections are queues in memory: neither the sizes of their buffers nor a linger can
// be set, on which most tests over sockets rest.
const HaveSockets = runtime.GOOS != "js" && runtime.GOOS != "wasip1"

// HaveUnixSockets reports whether there are Unix sockets: Windows before 10.0.17063 and Wine before 9 have none.
var HaveUnixSockets = sync.OnceValue(func() bool {
	dir, err := os.MkdirTemp("", "ns")
	if err != nil || !HaveSockets {
		return false
	}
	defer removeAll(dir)
	ln, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		return false
	}
	ln.Close()
	return true
})

// limit is what a system cannot do, and the tests that need it: patterns as for go test -skip.
type limit struct {
	reason string
	tests  []string
}

// limits returns those of this system.
func limits() []limit {
	switch {
	case !HaveSockets:
		return memoryLimits
	case Wine():
		return wineLimits
	}
	return nil
}

// LeaveOut has the testing package skip the tests that need what this system cannot do. Names that do not exist do no
// harm.
func LeaveOut() {
	flag.Parse()
	patterns := []string{}
	if asked := flag.Lookup("test.skip").Value.String(); asked != "" {
		patterns = append(patterns, asked)
	}
	for _, l := range limits() {
		for _, name := range l.tests {
			elements := strings.Split(name, "/")
			for i, e := range elements {
				elements[i] = "^" + strings.ReplaceAll(e, "...", ".*") + "$"
			}
			patterns = append(patterns, strings.Join(elements, "/"))
		}
	}
	if err := flag.Set("test.skip", strings.Join(patterns, "|")); err != nil {
		panic(err)
	}
}

// TempDir is t.TempDir, removed in a way that Wine knows as well.
func TempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ns") // t.TempDir can be too long for the name of a Unix socket, too
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeAll(dir) })
	return dir
}

// removeAll is os.RemoveAll for a directory of files. os.RemoveAll uses a call that Wine 8 does not have.
func removeAll(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		os.Remove(filepath.Join(dir, e.Name()))
	}
	os.Remove(dir)
}
