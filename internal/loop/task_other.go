//go:build !linux

package loop

// link is what a queue keeps in a task; there is no queue here.
type link struct{}
