package netstream_test

import (
	"net"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// plainConn is a byte stream that the library knows nothing of but net.Conn's methods.
type plainConn struct{ net.Conn }

// mergedWays are the connections over which small begun writes share system calls, or records.
var mergedWays = []struct {
	name, network string
	engine        netstream.Engine
	wrap          func(b *testing.B, client, server net.Conn) (net.Conn, net.Conn) // nil: nothing around it
}{
	{"auto-tcp", "tcp", netstream.EngineAuto, nil},
	{"portable-tcp", "tcp", netstream.EnginePortable, nil},
	{"portable-unix", "unix", netstream.EnginePortable, nil},
	{"tls", "tcp", netstream.EngineAuto, func(b *testing.B, client, server net.Conn) (net.Conn, net.Conn) {
		return kit.MustTLSOver(b, client, server)
	}},
	{"net.Conn-gathered", "tcp", netstream.EngineAuto, func(_ *testing.B, client, server net.Conn) (net.Conn, net.Conn) {
		return plainConn{client}, server
	}},
}

// BenchmarkMergedWrite is 64 bytes at a time, 1,024 pending, over everything that merges; x-net is how many times faster
// that is than the connection's own Write, which takes net-ns/op. On a machine that does other things too, take the minimum
// of several runs of each.
func BenchmarkMergedWrite(b *testing.B) {
	const size = 64
	for _, way := range mergedWays {
		c := kit.ConnCase{Name: way.name, Engine: way.engine, Network: way.network}
		if !c.Usable() {
			continue
		}
		open := func(b *testing.B) (client, server net.Conn) {
			client, server = c.NetPair(b)
			if way.wrap != nil {
				client, server = way.wrap(b, client, server)
			}
			return client, server
		}
		b.Run(way.name, func(b *testing.B) {
			perWrite := timeWrites(b, open, size)
			client, server := open(b)
			s := kit.MustNew(b, client, &netstream.Config{Engine: way.engine, GatherWrites: true})
			stop := drainPeer(server, s)
			pipelineWrites(b, s, size)
			b.ReportMetric(float64(perWrite)*float64(b.N)/float64(b.Elapsed()), "x-net")
			b.ReportMetric(float64(perWrite), "net-ns/op")
			stop()
		})
	}
}

// timeWrites returns how long a Write of such a connection takes.
func timeWrites(b *testing.B, open func(b *testing.B) (client, server net.Conn), size int) time.Duration {
	client, server := open(b)
	defer drainPeer(server, client)()
	message := make([]byte, size)
	count := 0
	start := time.Now()
	for ; time.Since(start) < 200*time.Millisecond; count++ {
		if _, err := client.Write(message); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(start) / time.Duration(count)
}
