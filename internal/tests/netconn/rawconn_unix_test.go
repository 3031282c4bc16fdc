//go:build unix

package netconn_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

var errUnread = errors.New("there is something to read")

// alive is the check that pools of connections make before they use one again (go-sql-driver/mysql, go-redis): nothing to
// read and no end, or the connection is bad. A failure of SyscallConn counts as bad.
func alive(conn net.Conn) error {
	below, ok := conn.(syscall.Conn)
	if !ok {
		return errors.New("no syscall.Conn: never checked")
	}
	raw, err := below.SyscallConn()
	if err != nil {
		return err
	}
	var found error
	err = raw.Read(func(fd uintptr) bool {
		n, err := syscall.Read(int(fd), make([]byte, 1))
		switch {
		case n == 0 && err == nil:
			found = io.EOF
		case n > 0:
			found = errUnread
		case err != syscall.EAGAIN:
			found = err
		}
		return true
	})
	return errors.Join(err, found)
}

// eachSocket runs f for every connection with a descriptor, EngineAuto before and after its move.
func eachSocket(t *testing.T, f func(t *testing.T, s *netstream.NetworkStream, peer net.Conn)) {
	t.Helper()
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		if c.Network == "pipe" || c.TLS() {
			t.Skip("its bytes are not those of a descriptor")
		}
		s, peer := c.WithPeer(t, nil)
		f(t, s, peer)
	})
	if kit.HaveEpoll && kit.ConnCases[0].Usable() {
		t.Run("auto-moved", func(t *testing.T) {
			s, peer := kit.ConnCases[0].WithPeer(t, nil)
			ar, _ := kit.StartRead(t, s, 2)
			kit.WriteText(t, peer, "go")
			_, err := s.EndRead(ar)
			kit.Must(t, err)
			if engine, why := s.Socket().Engine(); engine != netstream.EngineEpoll {
				t.Fatal(engine, why)
			}
			f(t, s, peer)
		})
	}
}

func TestSyscallConn_LivenessCheck(t *testing.T) {
	endings := []struct {
		name string
		end  func(t *testing.T, s *netstream.NetworkStream, peer net.Conn)
		want error
	}{
		{"closed by the peer", func(_ *testing.T, _ *netstream.NetworkStream, peer net.Conn) { peer.Close() }, io.EOF},
		{"something to read", func(t *testing.T, _ *netstream.NetworkStream, peer net.Conn) { kit.WriteText(t, peer, "odd") }, errUnread},
		{"closed by us", func(_ *testing.T, s *netstream.NetworkStream, _ net.Conn) { s.Close() }, net.ErrClosed},
		{"a deadline long ago", func(t *testing.T, s *netstream.NetworkStream, _ net.Conn) {
			kit.Must(t, s.SetReadDeadline(time.Unix(1, 0)))
		},
			os.ErrDeadlineExceeded},
		{"reset", func(t *testing.T, _ *netstream.NetworkStream, peer net.Conn) {
			if _, tcp := peer.(*net.TCPConn); tcp {
				kit.ResetPeer(t, peer)
			} else {
				peer.Close()
			}
		}, nil},
	}
	for _, k := range endings {
		t.Run(k.name, func(t *testing.T) {
			eachSocket(t, func(t *testing.T, s *netstream.NetworkStream, peer net.Conn) {
				for range 3 { // it changes nothing
					if err := alive(s); err != nil {
						t.Fatal("idle:", err)
					}
					kit.WriteText(t, peer, "in")
					kit.ReadText(t, s, "in")
					ar, _ := kit.StartRead(t, s, 2)
					kit.WriteText(t, peer, "in")
					_, err := s.EndRead(ar)
					kit.Must(t, err)
				}
				k.end(t, s, peer)
				var err error
				kit.Eventually(t, "the check sees it", func() bool { err = alive(s); return err != nil })
				if k.want != nil && !errors.Is(err, k.want) || k.want == nil && !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("%v, want %v", err, k.want)
				}
			})
		})
	}
}

// rawRead reads exactly size bytes through the RawConn, counting the calls of f.
func rawRead(s *netstream.NetworkStream, size int, calls *atomic.Int64) ([]byte, error) {
	raw, err := s.SyscallConn()
	if err != nil {
		return nil, err
	}
	var got []byte
	var failure error
	err = raw.Read(func(fd uintptr) bool {
		calls.Add(1)
		p := make([]byte, size-len(got))
		n, err := syscall.Read(int(fd), p)
		if err == syscall.EAGAIN {
			return false
		}
		got = append(got, p[:max(n, 0)]...)
		failure = err
		return err != nil || n == 0 || len(got) == size
	})
	return got, errors.Join(err, failure)
}

func TestRawRead_WaitsForData(t *testing.T) {
	eachSocket(t, func(t *testing.T, s *netstream.NetworkStream, peer net.Conn) {
		var calls atomic.Int64
		for i := range 20 {
			before := calls.Load()
			done := kit.Async(func() error {
				p, err := rawRead(s, 2, &calls)
				if string(p) != "ab" {
					t.Errorf("read %q", p)
				}
				return err
			})
			if i%2 == 0 {
				kit.Eventually(t, "it waits", func() bool { return calls.Load() > before })
			}
			kit.WriteText(t, peer, "ab")
			kit.Must(t, kit.Within(t, "the raw read", done))
			kit.WriteText(t, peer, "cd") // nothing is lost for the stream, whichever way it reads
			if i%3 == 0 {
				kit.ReadText(t, s, "cd")
				continue
			}
			ar, p := kit.StartRead(t, s, 2)
			_, err := s.EndRead(ar)
			kit.Must(t, err)
			if string(p) != "cd" {
				t.Fatalf("read %q", p)
			}
		}
		if n := calls.Load(); n > 200 {
			t.Errorf("%d calls for 20 reads", n)
		}
	})
}

// A function that looks without taking, and wants more than there is, is not called again and again; and when the wait
// for more is given up, the stream reads what it has looked at.
func TestRawRead_PeekDoesNotSpinNorLoseAnything(t *testing.T) {
	for _, end := range []string{"more data", "a deadline", "Close"} {
		t.Run(end, func(t *testing.T) {
			eachSocket(t, func(t *testing.T, s *netstream.NetworkStream, peer net.Conn) {
				raw, err := s.SyscallConn()
				kit.Must(t, err)
				var calls, seen atomic.Int64
				done := kit.Async(func() error {
					return raw.Read(func(fd uintptr) bool {
						calls.Add(1)
						n, _, _ := syscall.Recvfrom(int(fd), make([]byte, 10), syscall.MSG_PEEK)
						seen.Store(int64(n))
						return n == 10
					})
				})
				kit.WriteText(t, peer, "12345")
				kit.Eventually(t, "it has looked", func() bool { return seen.Load() == 5 })
				before := calls.Load()
				time.Sleep(20 * time.Millisecond) // a spin makes thousands of calls in that time
				if n := calls.Load() - before; n > 10 {
					t.Errorf("%d calls while nothing has come", n)
				}
				want := "12345"
				switch end {
				case "more data":
					kit.WriteText(t, peer, "67890")
					kit.Must(t, kit.Within(t, "the raw read", done))
					want += "67890"
				case "a deadline":
					kit.Must(t, s.SetReadDeadline(time.Now().Add(time.Millisecond)))
					kit.WantIs(t, "the raw read", kit.Within(t, "the raw read", done), os.ErrDeadlineExceeded)
					kit.Must(t, s.SetReadDeadline(time.Time{}))
				case "Close":
					kit.Must(t, s.Close())
					kit.WantIs(t, "the raw read", kit.Within(t, "the raw read", done), net.ErrClosed)
					return
				}
				if seen.Load()%2 == 1 {
					ar, p := kit.StartRead(t, s, len(want))
					_, err := s.EndRead(ar)
					kit.Must(t, err)
					if string(p) != want {
						t.Errorf("read %q", p)
					}
					return
				}
				kit.ReadText(t, s, want)
			})
		})
	}
}

// A raw read that waits follows the stream to the loop.
func TestRawRead_AcrossAMove(t *testing.T) {
	if !kit.HaveEpoll || !kit.ConnCases[0].Usable() {
		t.Skip("needs a loop")
	}
	for _, when := range []string{"waiting", "arriving"} {
		t.Run(when, func(t *testing.T) {
			for range 20 {
				a, b := kit.ConnCases[0].Pair(t, nil, nil)
				kit.SmallBuffers(t, a, b)
				var calls atomic.Int64
				if when == "waiting" {
					done := kit.Async(func() error { _, err := rawRead(a, 2, &calls); return err })
					kit.Eventually(t, "it waits", func() bool { return calls.Load() > 0 })
					p, _, out := kit.Plug(t, a)
					kit.Eventually(t, "the move", func() bool { e, _ := a.Socket().Engine(); return e == netstream.EngineEpoll })
					kit.WriteText(t, b, "ab")
					kit.Must(t, kit.Within(t, "the raw read", done))
					kit.ReadExactly(t, b, p)
					kit.Must(t, kit.Within(t, "the write", out))
				} else {
					_, out := kit.Begin(t, a, make([]byte, kit.PlugSize)) // the check comes in the middle of the move
					kit.Must(t, alive(a))
					kit.ReadExactly(t, b, make([]byte, kit.PlugSize))
					kit.Must(t, kit.Within(t, "the write", out))
				}
				a.Close()
				b.Close()
			}
		})
	}
}

// Raw reads wait until no read is pending, those of several goroutines one after the other.
func TestRawRead_WaitsItsTurn(t *testing.T) {
	eachSocket(t, func(t *testing.T, s *netstream.NetworkStream, peer net.Conn) {
		ar, p := kit.StartRead(t, s, 2)
		var calls atomic.Int64
		done := make([]<-chan error, 3)
		for i := range done {
			done[i] = kit.Async(func() error { _, err := rawRead(s, 2, &calls); return err })
		}
		time.Sleep(10 * time.Millisecond)
		if calls.Load() != 0 {
			t.Error("called while a read is pending")
		}
		kit.WriteText(t, peer, "abcdefgh")
		_, err := s.EndRead(ar)
		kit.Must(t, err)
		if string(p) != "ab" {
			t.Errorf("read %q", p)
		}
		for _, ch := range done {
			kit.Must(t, kit.Within(t, "a raw read", ch))
		}
	})
}

func TestRawWrite_WaitsForRoom(t *testing.T) {
	for _, end := range []string{"the peer reads", "a deadline", "Close"} {
		t.Run(end, func(t *testing.T) {
			eachSocket(t, func(t *testing.T, s *netstream.NetworkStream, peer net.Conn) {
				kit.Must(t, s.Socket().SetWriteBuffer(32<<10))
				kit.Must(t, peer.(interface{ SetReadBuffer(int) error }).SetReadBuffer(32<<10))
				raw, err := s.SyscallConn()
				kit.Must(t, err)
				const size = kit.PlugSize
				p := kit.Patterned(1, size)
				var sent, waits atomic.Int64
				done := kit.Async(func() error {
					return raw.Write(func(fd uintptr) bool {
						for sent.Load() < size {
							n, err := syscall.Write(int(fd), p[sent.Load():])
							if err != nil {
								waits.Add(1)
								return err != syscall.EAGAIN
							}
							sent.Add(int64(n))
						}
						return true
					})
				})
				kit.Eventually(t, "it waits", func() bool { return waits.Load() > 0 })
				switch end {
				case "the peer reads":
					_, out := kit.Begin(t, s, []byte("behind")) // waits its turn
					kit.ReadExactly(t, peer, append(bytes.Clone(p), "behind"...))
					kit.Must(t, kit.Within(t, "the raw write", done))
					kit.Must(t, kit.Within(t, "the begun write", out))
				case "a deadline":
					kit.Must(t, s.SetWriteDeadline(time.Now().Add(time.Millisecond)))
					kit.WantIs(t, "the raw write", kit.Within(t, "the raw write", done), os.ErrDeadlineExceeded)
					kit.Must(t, s.SetWriteDeadline(time.Time{}))
					kit.ReadExactly(t, peer, p[:sent.Load()])
					kit.WriteText(t, s, "more")
					kit.ReadExactly(t, peer, []byte("more"))
				case "Close":
					kit.Must(t, s.Close())
					kit.WantIs(t, "the raw write", kit.Within(t, "the raw write", done), net.ErrClosed)
				}
			})
		})
	}
}

// A function that panics or ends its goroutine leaves the stream usable.
func TestRawConn_FunctionThatDoesNotReturn(t *testing.T) {
	eachSocket(t, func(t *testing.T, s *netstream.NetworkStream, peer net.Conn) {
		raw, err := s.SyscallConn()
		kit.Must(t, err)
		for _, call := range []func(func(uintptr) bool) error{raw.Read, raw.Write} {
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_ = call(func(uintptr) bool { runtime.Goexit(); return true })
			}()
			kit.Within(t, "the goroutine's end", ended)
			func() {
				defer func() { _ = recover() }()
				_ = call(func(uintptr) bool { panic("its own trouble") })
			}()
		}
		kit.WriteText(t, peer, "in")
		kit.ReadText(t, s, "in")
		kit.WriteText(t, s, "out")
		kit.ReadText(t, peer, "out")
		kit.Must(t, kit.Within(t, "Close", kit.Async(s.Close)))
	})
}

func TestSyscallConn_Refused(t *testing.T) {
	eachSocket(t, func(t *testing.T, s *netstream.NetworkStream, _ net.Conn) {
		raw, err := s.SyscallConn()
		kit.Must(t, err)
		s.Close()
		_, err = s.SyscallConn()
		kit.WantIs(t, "SyscallConn after Close", err, net.ErrClosed)
		never := func(uintptr) bool { t.Error("called"); return true }
		kit.WantIs(t, "Control", raw.Control(func(uintptr) { t.Error("called") }), net.ErrClosed)
		kit.WantIs(t, "Read", raw.Read(never), net.ErrClosed)
		kit.WantIs(t, "Write", raw.Write(never), net.ErrClosed)
	})
}

// The access of the stream holds for its RawConn too.
func TestRawConn_Access(t *testing.T) {
	for _, access := range []netstream.Access{netstream.AccessRead, netstream.AccessWrite} {
		kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
			if c.Network == "pipe" || c.TLS() {
				t.Skip("its bytes are not those of a descriptor")
			}
			s, _ := c.WithPeer(t, &netstream.Config{Access: access})
			raw, err := s.SyscallConn()
			kit.Must(t, err)
			allowed, refused := raw.Read, raw.Write
			if access == netstream.AccessWrite {
				allowed, refused = refused, allowed
			}
			kit.Must(t, raw.Control(func(uintptr) {}))
			kit.Must(t, allowed(func(uintptr) bool { return true }))
			var invalid *netstream.InvalidOperationError
			if err := refused(func(uintptr) bool { t.Error("called"); return true }); !errors.As(err, &invalid) {
				t.Error(err)
			}
		})
	}
}
