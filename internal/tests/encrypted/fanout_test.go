package encrypted_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// recordConn counts the records that come from a connection.
type recordConn struct {
	net.Conn
	mu   sync.Mutex // guards what follows
	skip int        // bytes of the current record that are to come
	head []byte     // of the next one, as far as it has come
	data int        // records of data that have begun
}

func (c *recordConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	for rest := p[:n]; len(rest) > 0; {
		if c.skip > 0 {
			m := min(c.skip, len(rest))
			c.skip, rest = c.skip-m, rest[m:]
			continue
		}
		c.head, rest = append(c.head, rest[0]), rest[1:]
		if len(c.head) == 5 {
			c.skip = int(c.head[3])<<8 | int(c.head[4])
			if c.head[0] == 23 {
				c.data++
			}
			c.head = c.head[:0]
		}
	}
	return n, err
}

func (c *recordConn) records() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.data
}

// eachEncrypted runs f for each engine with a stream whose peer is crypto/tls, over a connection that counts records.
func eachEncrypted(t *testing.T, cfg *netstream.Config, f func(t *testing.T, s *netstream.NetworkStream, peer *tls.Conn, below *recordConn)) {
	t.Helper()
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		conn, other := c.NetPair(t)
		s, below := kit.MustNew(t, conn, c.Config(cfg)), &recordConn{Conn: other}
		t.Cleanup(func() { s.Close(); other.Close() })
		f(t, s, kit.MustAuthenticateWith(t, s, below), below)
	})
}

// Posts that are larger than a record go out whole, and those around them stay in order.
func TestPostsLargerThanARecord(t *testing.T) {
	const record = 16 << 10
	sizes := []int{1, record - 1, record, record + 1, 3, 2*record + 7, 100, 10 * record, 64}
	eachEncrypted(t, nil, func(t *testing.T, s *netstream.NetworkStream, peer *tls.Conn, _ *recordConn) {
		var want []byte
		var begun []netstream.AsyncResult
		for i := range 4 * len(sizes) {
			p := kit.Patterned(i, sizes[i%len(sizes)])
			want = append(want, p...)
			if i%5 == 4 {
				begun = append(begun, kit.MustBegin(t, s, p, nil))
			} else {
				kit.Must(t, s.Post(p))
			}
		}
		kit.ReadExactly(t, peer, want)
		for _, ar := range begun {
			kit.Must(t, s.EndWrite(ar))
		}
		kit.WantIdle(t, s)
		if st := s.Stats(); st.BytesWritten != uint64(len(want)) || st.LostPosts != 0 {
			t.Errorf("%d bytes were posted and begun: %+v", len(want), st)
		}
	})
}

// What has gathered shares records: that is why a push over TLS is cheap.
func TestPostsThatHaveGatheredShareRecords(t *testing.T) {
	const count, size = 5000, 64
	eachEncrypted(t, nil, func(t *testing.T, s *netstream.NetworkStream, peer *tls.Conn, below *recordConn) {
		kit.Must(t, s.Socket().SetWriteBuffer(32<<10))
		plug, _, plugged := kit.Plug(t, s)
		var want []byte
		for i := range count {
			p := kit.Patterned(i, size)
			want = append(want, p...)
			kit.Must(t, s.Post(p))
		}
		kit.ReadExactly(t, peer, plug)
		before := below.records() // at least as many as plug has
		kit.ReadExactly(t, peer, want)
		kit.Must(t, kit.Within(t, "the plug", plugged))
		if n := below.records() - before; n > count/50 {
			t.Errorf("%d messages of %d bytes took %d records", count, size, n)
		}
	})
}

// A cut among many small posts, of which a record holds many: each is sent or lost, and the peer gets exactly the bytes
// that Stats says, and then no clean end.
func TestPostsCutInARecord(t *testing.T) {
	const count, size = 4000, 1000
	eachEncrypted(t, nil, func(t *testing.T, s *netstream.NetworkStream, peer *tls.Conn, _ *recordConn) {
		kit.Must(t, s.Socket().SetWriteBuffer(32<<10))
		var want []byte
		for i := range count {
			p := kit.Patterned(i, size)
			want = append(want, p...)
			kit.Must(t, s.Post(p))
		}
		kit.Settled(t, s)
		kit.CutNow(t, s)
		kit.WantIdle(t, s)
		st := s.Stats()
		if sent := st.Posts - st.LostPosts; st.Posts != count || st.BytesWritten+st.LostBytes != count*size || sent != st.BytesWritten/size || sent == count {
			t.Errorf("%+v", st)
		}
		kit.Must(t, s.SetWriteDeadline(time.Time{}))
		var failure *netstream.IOError
		if err := s.Post(want); !errors.As(err, &failure) || !failure.Torn {
			t.Errorf("a post behind half a record: %v", err)
		}
		kit.ReadExactly(t, peer, want[:st.BytesWritten])
		s.Close()
		if n, err := peer.Read(make([]byte, 1)); n != 0 || err == nil || err == io.EOF {
			t.Errorf("behind the cut: %d, %v", n, err)
		}
	})
}

// In the middle of a handshake nothing is queued: Post and BeginWaitRoom say so, and a Broadcast names the stream. After
// it they work.
func TestPostDuringAHandshake(t *testing.T) {
	eachPlain(t, func(t *testing.T, c kit.ConnCase) {
		client, server := c.Pair(t, nil, nil)
		clientConfig, serverConfig := kit.TLSConfigs()
		ar, err := server.BeginAuthenticateAsServer(serverConfig, nil, nil)
		kit.Must(t, err)
		var invalid *netstream.InvalidOperationError
		if err := server.Post([]byte("x")); !errors.As(err, &invalid) {
			t.Error("Post:", err)
		}
		if _, err := server.BeginWaitRoom(1, kit.NeverCalled(t), nil); !errors.As(err, &invalid) {
			t.Error("BeginWaitRoom:", err)
		}
		told := 0
		n := netstream.Broadcast([]byte("x"), slices.Values([]*netstream.NetworkStream{server}), func(s *netstream.NetworkStream, err error) {
			told++
			if s != server || !errors.As(err, &invalid) {
				t.Error("Broadcast:", err)
			}
		})
		if n != 0 || told != 1 {
			t.Errorf("%d took the broadcast, %d refused it", n, told)
		}
		kit.WantPending(t, server, 0, 0)
		kit.Must(t, client.AuthenticateAsClient(t.Context(), clientConfig))
		kit.Must(t, server.EndAuthenticateAsServer(ar))
		kit.Must(t, server.Post([]byte("after it")))
		kit.ReadExactly(t, client, []byte("after it"))
		kit.WantIdle(t, server)
		if st := server.Stats(); st.Posts != 1 || st.LostPosts != 0 || st.BytesWritten != 8 {
			t.Errorf("%+v", st)
		}
	})
}

// A handshake that fails is why the stream ended; one that Close has stopped was just closed.
func TestAfterDoneOfAFailedHandshake(t *testing.T) {
	eachPlain(t, func(t *testing.T, c kit.ConnCase) {
		_, serverConfig := kit.TLSConfigs()
		afterDone := func(s *netstream.NetworkStream) <-chan error {
			causes := make(chan error, 1)
			s.AfterDone(func(cause error) { causes <- cause })
			return causes
		}
		client, server := c.Pair(t, nil, nil)
		causes := afterDone(server)
		go client.AuthenticateAsClient(t.Context(), &tls.Config{ServerName: "127.0.0.1", RootCAs: x509.NewCertPool()})
		failed := server.AuthenticateAsServer(t.Context(), serverConfig)
		wantAuthenticationError(t, "the handshake", failed)
		if len(causes) > 0 || server.Err() != nil {
			t.Error("nobody has closed the stream:", server.Err())
		}
		server.Close()
		if cause := kit.Within(t, "AfterDone", causes); cause != failed || server.Err() != failed {
			t.Errorf("AfterDone was told %v, Err is %v, and the handshake failed with %v", cause, server.Err(), failed)
		}

		_, server = c.Pair(t, nil, nil)
		causes = afterDone(server)
		ar, err := server.BeginAuthenticateAsServer(serverConfig, nil, nil)
		kit.Must(t, err)
		server.Close()
		wantClosed := func(what string, err error) {
			var failure *netstream.AuthenticationError
			if !errors.Is(err, net.ErrClosed) || errors.As(err, &failure) {
				t.Errorf("%s: %v", what, err)
			}
		}
		wantClosed("the handshake", server.EndAuthenticateAsServer(ar))
		wantClosed("AfterDone", kit.Within(t, "AfterDone", causes))
	})
}

// The cause of a stream whose connection brought a forged record is that record.
func TestAfterDoneOfAForgedRecord(t *testing.T) {
	eachTLSPeer(t, func(t *testing.T, s *netstream.NetworkStream, _ *tls.Conn, below *net.TCPConn) {
		causes := make(chan error, 1)
		s.AfterDone(func(cause error) { causes <- cause })
		below.Write(append([]byte{23, 3, 3, 0, 32}, make([]byte, 32)...))
		if _, err := s.Read(make([]byte, 1)); err == nil {
			t.Error("it was taken")
		}
		var alert tls.AlertError
		if err := s.Post([]byte("x")); !errors.As(err, &alert) || s.Stats().Posts != 0 || s.Socket().Connected() {
			t.Errorf("a post afterwards: %v", err)
		}
		s.Close()
		if cause := kit.Within(t, "AfterDone", causes); !errors.As(cause, &alert) || alert != 20 {
			t.Errorf("%T %v", cause, cause)
		}
	})
}

// With Config.TLS nothing goes out in the clear: whoever finds a stream in its group before the handshake has begun can
// send nothing on it.
func TestGroupBroadcast_NothingInTheClear(t *testing.T) {
	group := new(netstream.Group)
	clientConfig, serverConfig := kit.TLSConfigs()
	l, err := netstream.Listen("tcp", "127.0.0.1:0", &netstream.Config{TLS: serverConfig, Group: group, Engine: kit.AskedEngine()})
	kit.Must(t, err)
	defer l.Close()
	var others sync.WaitGroup
	defer others.Wait()
	over := make(chan struct{})
	defer close(over)
	for range 2 {
		others.Go(func() {
			for {
				group.Broadcast([]byte("hello"))
				for s := range group.Streams() {
					s.BeginWrite([]byte("hello"), 0, 5, nil, nil)
				}
				select {
				case <-over:
					return
				default:
					runtime.Gosched() // a single processor is for the handshakes as well
				}
			}
		})
	}
	for range 50 {
		ar, err := l.BeginAccept(nil, nil)
		kit.Must(t, err)
		c, err := netstream.Dial(t.Context(), "tcp", l.Addr().String(), &netstream.Config{TLS: clientConfig, Group: group, Engine: kit.AskedEngine()})
		kit.Must(t, err)
		s, err := l.EndAccept(ar)
		kit.Must(t, err)
		c.Close() // not earlier: it cuts writes, and the reset might cost the server the end of its handshake
		s.Close()
	}
	if n := l.FailedHandshakes(); n != 0 {
		t.Errorf("%d handshakes failed", n)
	}
}
