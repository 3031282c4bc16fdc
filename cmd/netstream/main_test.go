package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// patience is how long a test waits for something that takes milliseconds.
const patience = 60 * time.Second

// TestMain lets a test start this very binary as the program itself, and leaves out what this system cannot do.
func TestMain(m *testing.M) {
	if os.Getenv("NETSTREAM_TEST_RUN_MAIN") != "" {
		main()
	}
	kit.LeaveOut()
	os.Exit(m.Run())
}

// result is what one run of the program came to.
type result struct {
	status         int
	stdout, stderr string
}

func runProgram(ctx context.Context, args ...string) result {
	var stdout, stderr bytes.Buffer
	status := run(ctx, args, strings.NewReader(""), &stdout, &stderr)
	return result{status, stdout.String(), stderr.String()}
}

func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// writeFile makes a file of size bytes that compress badly and never repeat.
func writeFile(t *testing.T, size int) string {
	t.Helper()
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content) // never fails
	path := filepath.Join(kit.TempDir(t), "file")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRun holds the statuses and the one line that goes with each.
func TestRun(t *testing.T) {
	small, empty := writeFile(t, 100_000), writeFile(t, 0)
	missing := filepath.Join(kit.TempDir(t), "missing")

	tests := []struct {
		name   string
		ctx    context.Context
		args   []string
		status int
		stdout string // a part of it
		stderr string // a part of its only line; empty: nothing is written there
	}{
		{name: "no arguments", stdout: "Available Commands:"},
		{name: "help", args: []string{"--help"}, stdout: `Start with "netstream demo".`},
		{name: "help of demo", args: []string{"demo", "--help"}, stdout: "--messages int"},
		{name: "version", args: []string{"version"}, stdout: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + "\n"},
		{name: "version flag", args: []string{"--version"}, stdout: "netstream "},

		{name: "unknown command", args: []string{"bogus"}, status: statusUsage, stderr: `unknown command "bogus"`},
		{name: "misspelt command", args: []string{"dmeo"}, status: statusUsage, stderr: "did you mean demo?"},
		{name: "bad flag", args: []string{"demo", "--bogus"}, status: statusUsage, stderr: "unknown flag: --bogus"},
		{name: "flag without value", args: []string{"demo", "--file"}, status: statusUsage, stderr: "--file"},
		{name: "no number", args: []string{"demo", "--messages", "many"}, status: statusUsage, stderr: "--messages"},
		{name: "no messages", args: []string{"demo", "--messages", "0"}, status: statusUsage, stderr: "--messages must be at least 1, got 0"},
		{name: "fewer than none", args: []string{"demo", "--messages=-5"}, status: statusUsage, stderr: "--messages must be at least 1, got -5"},
		{name: "argument of demo", args: []string{"demo", "x"}, status: statusUsage, stderr: `demo takes no arguments, got "x"`},
		{name: "argument of version", args: []string{"version", "x"}, status: statusUsage, stderr: `version takes no arguments, got "x"`},
		{name: "line break in argument", args: []string{"demo", "--a\nb"}, status: statusUsage, stderr: `--a\nb`},

		{name: "missing file", args: []string{"demo", "--file", missing}, status: statusFailed, stderr: missing},
		{name: "directory as file", args: []string{"demo", "--file", kit.TempDir(t)}, status: statusFailed, stderr: "is a directory"},
		{name: "device as file", args: []string{"demo", "--file", os.DevNull}, status: statusFailed, stderr: "is not a regular file"},
		{name: "cancelled", ctx: cancelled(), args: []string{"demo"}, status: statusInterrupted, stderr: "interrupted"},
		{name: "cancelled and bad flag", ctx: cancelled(), args: []string{"demo", "--bogus"}, status: statusUsage, stderr: "--bogus"},

		{name: "empty file", args: []string{"demo", "--file", empty, "--messages", "1"}, stdout: "SHA-256 e3b0c44298fc1c14"},
		{name: "one message", args: []string{"demo", "--file", small, "--messages", "1"}, stdout: "3. Messages of 64 bytes, 1 each way"},
		{name: "own executable", args: []string{"demo", "--messages", "2000"}, stdout: "sums      agree"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx := tt.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			got := runProgram(ctx, tt.args...)
			if got.status != tt.status || !strings.Contains(got.stdout, tt.stdout) {
				t.Errorf("status %d, want %d; standard output has to contain %q:\n%s", got.status, tt.status, tt.stdout, got.stdout)
			}
			checkStderr(t, got, tt.stderr)
		})
	}
}

// checkStderr demands that nothing was written to standard error, or one line of ours that contains part.
func checkStderr(t *testing.T, got result, part string) {
	t.Helper()
	if part == "" {
		if got.stderr != "" {
			t.Errorf("standard error: %q, want nothing", got.stderr)
		}
		return
	}
	if !strings.HasPrefix(got.stderr, "netstream: ") || strings.Index(got.stderr, "\n") != len(got.stderr)-1 || !strings.Contains(got.stderr, part) {
		t.Errorf("standard error: %q, want one line with %q", got.stderr, part)
	}
}

// TestDemoTellsEachStep runs all of it and looks for every line that a reader is promised.
func TestDemoTellsEachStep(t *testing.T) {
	path := writeFile(t, 3<<20+17)
	got := runProgram(t.Context(), "demo", "--file", path, "--messages", "5000")
	if got.status != statusOK || got.stderr != "" {
		t.Fatalf("status %d, standard error %q", got.status, got.stderr)
	}
	checkLines(t, got.stdout, []string{
		`1\. The example of the \.NET page NetworkStream\.BeginWrite`,
		`   server    Listen, BeginAccept, EndAccept on 127\.0\.0\.1:\d+`,
		`   client    BeginConnect, EndConnect from 127\.0\.0\.1:\d+`,
		`   client    CanWrite: true`,
		`   client    BeginWrite\("Are you receiving this message\?"\) on goroutine \d+`,
		`   callback  runs on goroutine \d+, another one than the caller's: true`,
		`   callback  EndWrite: every byte is with the system`,
		`   client    BeginWrite had returned after \S+, CompletedSynchronously: (true|false)`,
		`   server    received "Are you receiving this message\?" in \d+ reads`,
		`   server    BeginWrite\("Yes, every byte of it\."\), EndWrite: every byte is with the system`,
		`   client    BeginRead, EndRead: "Yes, every byte of it\." in \d+ reads of up to 16 bytes`,
		`   engine    \S+: .+`,
		`2\. A file in BeginWrites of 4\.0 KiB`,
		`   file      ` + regexp.QuoteMeta(path) + `, 3\.0 MiB`,
		`   sending    25 %  .*`,
		`   sending    50 %  .*`,
		`   sending    75 %  .*`,
		`   sending   100 %  3\.0 MiB of 3\.0 MiB`,
		`   writes    769, up to \d+ in flight; times the queue was full and WaitRoom waited: \d+`,
		`   rate      .*/s`,
		`   sent      SHA-256 ` + fileSum(t, path),
		`   received  SHA-256 ` + fileSum(t, path),
		`   sums      agree`,
		`3\. Messages of 64 bytes, 5,000 each way, to the same receiver`,
		`             net\.Conn\.Write +[\d,]+ messages/s, .*`,
		`             BeginWrite +[\d,]+ messages/s, .*`,
		`   ratio     BeginWrite, 1,024 in flight with a callback each, reached \d+\.\d times the rate of net\.Conn\.Write`,
		`4\. The same over TLS`,
		`             tls\.Conn\.Write +[\d,]+ messages/s, .*`,
		`             BeginWrite +[\d,]+ messages/s, .*`,
		`   ratio     BeginWrite, 1,024 in flight with a callback each, reached \d+\.\d times the rate of tls\.Conn\.Write`,
	})
}

// checkLines demands these lines in this order, and no others but empty ones.
func checkLines(t *testing.T, text string, patterns []string) {
	t.Helper()
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) != len(patterns) {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), len(patterns), text)
	}
	for i, pattern := range patterns {
		if !regexp.MustCompile("^" + pattern + "$").MatchString(lines[i]) {
			t.Errorf("line %d: %q, want %s", i+1, lines[i], pattern)
		}
	}
}

func fileSum(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// trigger is an output that does something as soon as a text has been written to it.
type trigger struct {
	bytes.Buffer
	text string
	do   func()
}

func (w *trigger) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if strings.Contains(w.String(), w.text) {
		w.do()
	}
	return n, err
}

// TestInterrupt cancels the demo in each of its steps, also from inside a callback. Nothing of it is left afterwards.
func TestInterrupt(t *testing.T) {
	path := writeFile(t, 64<<20)
	for _, text := range []string{"1. The example", "CanWrite", "another one", "EndWrite", "2. A file", " 25 %", "sums ", "3. ", "net.Conn.Write  "} {
		t.Run(strings.TrimSpace(text), func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stdout := &trigger{text: text, do: cancel}
			var stderr bytes.Buffer

			status := make(chan int, 1)
			go func() {
				status <- run(ctx, []string{"demo", "--file", path, "--messages", "30000"}, strings.NewReader(""), stdout, &stderr)
			}()
			select {
			case got := <-status:
				if got != statusInterrupted || stderr.String() != "netstream: interrupted\n" {
					t.Errorf("status %d, standard error %q", got, stderr.String())
				}
			case <-time.After(patience):
				t.Fatal("the demo goes on")
			}
		})
	}
	checkNoGoroutines(t, "cmd/netstream.")
}

// checkNoGoroutines demands that no goroutine runs code of this package but the tests themselves.
func checkNoGoroutines(t *testing.T, name string) {
	t.Helper()
	var left []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		trace := make([]byte, 1<<20)
		trace = trace[:runtime.Stack(trace, true)]
		left = slices.DeleteFunc(strings.Split(string(trace), "\n\n"), func(s string) bool {
			return !strings.Contains(s, name) || strings.Contains(s, "testing.")
		})
		if len(left) == 0 {
			return
		}
	}
	t.Errorf("goroutines left:\n%s", strings.Join(left, "\n\n"))
}

// limitedWriter takes so many bytes and fails from then on.
type limitedWriter struct{ left int }

var errFull = errors.New("no space left")

func (w *limitedWriter) Write(p []byte) (int, error) {
	if len(p) > w.left {
		return 0, errFull
	}
	w.left -= len(p)
	return len(p), nil
}

// TestOutputFails holds that an output that cannot be written is a failure, wherever it happens.
func TestOutputFails(t *testing.T) {
	path := writeFile(t, 1000)
	for _, left := range []int{0, 200, 900, 1600} {
		var stderr bytes.Buffer
		status := run(t.Context(), []string{"demo", "--file", path, "--messages", "10"}, strings.NewReader(""), &limitedWriter{left}, &stderr)
		if status != statusFailed || stderr.String() != "netstream: write output: no space left\n" {
			t.Errorf("after %d bytes: status %d, standard error %q", left, status, stderr.String())
		}
	}
	var stderr bytes.Buffer
	if status := run(t.Context(), []string{"version"}, strings.NewReader(""), &limitedWriter{}, &stderr); status != statusFailed {
		t.Errorf("version: status %d, standard error %q", status, stderr.String())
	}
}

// FuzzDemoArguments runs the demo with any two arguments and a context that has ended, so that it stops at once.
func FuzzDemoArguments(f *testing.F) {
	for _, seed := range [][2]string{{"", ""}, {"--file", "/"}, {"--file=", "--messages=0"}, {"--messages", "9223372036854775808"},
		{"-h", "x"}, {"--", "--file"}, {"--file", "a\x00b"}, {"--fil\ne", "\r"}, {"--messages=1", "--file=main.go"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		got := runProgram(cancelled(), "demo", first, second)
		switch got.status {
		case statusOK:
			checkStderr(t, got, "")
		case statusFailed, statusUsage, statusInterrupted:
			checkStderr(t, got, "netstream: ")
		default:
			t.Errorf("status %d", got.status)
		}
		if got.status != statusOK && got.stdout != "" {
			t.Errorf("status %d with standard output %q", got.status, got.stdout)
		}
	})
}

// busyListener accepts later than the client has connected.
type busyListener struct{ net.Listener }

func (l busyListener) Accept() (net.Conn, error) {
	time.Sleep(20 * time.Millisecond)
	return l.Listener.Accept()
}

// TestRaceWaitsForItsReceiver holds that a connection counts also when it is accepted late, and that none is waited for that nobody
// has asked for.
func TestRaceWaitsForItsReceiver(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, peer, err := meetThrough(t.Context(), busyListener{ln}, nil, dialPlain)
	if err != nil {
		t.Fatal(err)
	}
	c.conn.Close()
	peer.Close()
	refused := errors.New("refused")
	fails := func(context.Context, string) (*contender, error) { return nil, refused }
	if _, _, err := meetThrough(t.Context(), busyListener{ln}, nil, fails); !errors.Is(err, refused) {
		t.Errorf("nobody dials: %v", err)
	}
}
