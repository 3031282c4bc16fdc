//go:build !linux

// Command bench compares ways of serving connections. It needs Linux: the load generator and the floor it
// measures against are written on epoll.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "bench: needs Linux")
	os.Exit(1)
}
