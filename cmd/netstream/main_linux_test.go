package main

import "testing"

// TestUnreadableFile sends a file that opens well and fails at its first read, for every user: nothing is mapped at
// address 0.
func TestUnreadableFile(t *testing.T) {
	got := runProgram(t.Context(), "demo", "--file", "/proc/self/mem", "--messages", "1")
	if got.status != statusFailed {
		t.Errorf("status %d", got.status)
	}
	checkStderr(t, got, "read /proc/self/mem: input/output error")
}
