package netstream

import (
	"slices"
	"testing"
)

// BenchmarkMicroPost is what a message costs between the program and the system call; an operation is a message on one
// stream. In gathered ones ten wait for the loop before it comes, as in bursts.
func BenchmarkMicroPost(b *testing.B) {
	for _, streams := range []int{1, 1000} {
		for _, burst := range []int{1, 10} {
			name := map[int]string{1: "one stream", 1000: "1,000 streams"}[streams]
			if burst > 1 {
				name += ", in tens"
			}
			var transports []*nullTransport
			var all []*NetworkStream
			group := new(Group)
			for range streams {
				t := newNull(b, Config{Group: group}, taking{})
				transports, all = append(transports, t), append(all, t.stream)
			}
			run := func(what string, post func()) {
				b.Run(what+", "+name, func(b *testing.B) {
					b.ReportAllocs()
					for done := 0; done < b.N; done += streams * burst {
						for range burst {
							post()
						}
						for _, t := range transports {
							t.settle()
						}
					}
				})
			}
			run("Post", func() {
				for _, s := range all {
					mustDo(s.Post(microMessage))
				}
			})
			run("Broadcast", func() { Broadcast(microMessage, slices.Values(all)) })
			run("Group.Broadcast", func() { group.Broadcast(microMessage) })
			run("BeginWrite", func() {
				for _, t := range transports {
					t.beginWrite(nil)
				}
			})
			run("BeginWrite with a callback", func() {
				for _, t := range transports {
					t.beginWrite(t.callback)
				}
			})
		}
	}
}
