//go:build unix

package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestCtrlC starts the program as a process of its own and interrupts it in the middle of its work.
func TestCtrlC(t *testing.T) {
	cmd := exec.Command(os.Args[0], "demo", "--messages", "1000000000")
	cmd.Env = append(os.Environ(), "NETSTREAM_TEST_RUN_MAIN=1")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "3. ") {
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	_, _ = io.Copy(io.Discard, stdout) // until the process is gone
	err = cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status != statusInterrupted || stderr.String() != "netstream: interrupted\n" {
		t.Errorf("status %d (%v), standard error %q", status, err, stderr.String())
	}
}

// TestFIFOAsFile holds that a FIFO is refused: opening one waits for a writer that may never come.
func TestFIFOAsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	got := runProgram(t.Context(), "demo", "--file", path)
	if got.status != statusFailed {
		t.Errorf("status %d", got.status)
	}
	checkStderr(t, got, "is not a regular file")
}

// TestForbiddenFile holds that a file without read permission is one line. The superuser may read everything, so
// TestUnreadableFile in main_linux_test.go covers the same path for it.
func TestForbiddenFile(t *testing.T) {
	path := writeFile(t, 10)
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if f, err := os.Open(path); err == nil {
		f.Close()
		t.Skip("this user may read every file")
	}
	got := runProgram(t.Context(), "demo", "--file", path)
	if got.status != statusFailed {
		t.Errorf("status %d", got.status)
	}
	checkStderr(t, got, "permission denied")
}
