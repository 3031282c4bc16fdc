package engine

import (
	"reflect"
	"testing"
)

// What an idle connection costs in memory: a size class of the allocator, and a word more would cost the next one.
func TestEpollFitsInItsSizeClass(t *testing.T) {
	if size := reflect.TypeFor[epoll]().Size(); size > 48 {
		t.Errorf("an engine on a loop has %d bytes", size)
	}
}
