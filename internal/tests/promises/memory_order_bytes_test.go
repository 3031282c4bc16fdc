package promises_test

import (
	"io"
	"net"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// What a program does before it writes is visible to whoever has read those bytes. The race detector is told so, as by
// package net, and whichever end is of net.
func TestPromise14_BytesOrderWhatComesBeforeAndAfter(t *testing.T) {
	plain := func(t *testing.T, c net.Conn, _ netstream.Engine) net.Conn { return c }
	stream := func(t *testing.T, c net.Conn, e netstream.Engine) net.Conn {
		return kit.MustNew(t, c, &netstream.Config{Engine: e})
	}
	type end func(t *testing.T, c net.Conn, e netstream.Engine) net.Conn
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		for name, ends := range map[string][2]end{
			"net to net": {plain, plain}, "stream to stream": {stream, stream},
			"net to stream": {plain, stream}, "stream to net": {stream, plain},
		} {
			t.Run(name, func(t *testing.T) {
				ca, cb := c.NetPair(t)
				a, b := ends[0](t, ca, c.Engine), ends[1](t, cb, c.Engine)
				defer a.Close()
				defer b.Close()
				shared := 0
				read := kit.Async(func() error {
					_, err := io.ReadFull(b, make([]byte, 1))
					if shared != 42 {
						t.Errorf("read %d", shared)
					}
					return err
				})
				shared = 42
				if _, err := a.Write([]byte("x")); err != nil {
					t.Error(err)
				}
				kit.Must(t, kit.Within(t, "the read", read))
			})
		}
	})
}
