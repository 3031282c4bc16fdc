//go:build !race

// The race detector makes pools forget.

package netstream

import "testing"

// A write allocates nothing from Begin to End, whether it is alone or in a queue, with a callback or without, and a post
// nothing either.
func TestWritesAllocateNothing(t *testing.T) {
	for name, do := range map[string]func(*nullTransport){
		"alone":          func(n *nullTransport) { n.endWrite(n.beginWrite(nil)) },
		"with callback":  func(n *nullTransport) { n.beginWrite(n.callback); n.settle() },
		"half at a time": func(n *nullTransport) { n.taking = taking{half: true}; n.beginWrite(n.callback); n.settle() },
		"a hundred of them": func(n *nullTransport) {
			for range 100 {
				n.beginWrite(n.callback)
			}
			n.settle()
		},
		"a hundred posts": func(n *nullTransport) {
			for range 100 {
				mustDo(n.stream.Post(microMessage))
			}
			n.settle()
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNull(t, deferred, taking{})
			for range 10 {
				do(n)
			}
			if allocs := testing.AllocsPerRun(200, func() { do(n) }); allocs >= 1 {
				t.Errorf("%v allocations", allocs)
			}
		})
	}
}
