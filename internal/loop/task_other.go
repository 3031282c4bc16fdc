//go:build !linux

package loop

// A Task holds a [Runner]. There is no loop here to post it to.
type Task struct {
	Runner Runner // the work
}
