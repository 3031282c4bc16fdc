package foreign_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// A stream over a *tls.Conn whose handshake has not been made: the first call makes it, on a goroutine of its own, and
// whoever waits for it can be interrupted without harm. crypto/tls keeps the error of an interrupted handshake for ever.

// eachTLS runs f with both versions of TLS over what is below: TCP, a pipe without a buffer, and a stream.
func eachTLS(t *testing.T, f func(t *testing.T, client, server *tls.Conn)) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for below, pair := range map[string]func(t *testing.T) (net.Conn, net.Conn){
			"tcp":      func(t *testing.T) (net.Conn, net.Conn) { return kit.ConnCase{Network: "tcp"}.NetPair(t) },
			"net.Pipe": func(*testing.T) (net.Conn, net.Conn) { return net.Pipe() },
			"stream": func(t *testing.T) (net.Conn, net.Conn) {
				a, b := kit.ConnCase{Network: "tcp"}.Pair(t, nil, nil)
				return a, b
			},
		} {
			t.Run(tls.VersionName(version)+"/"+below, func(t *testing.T) {
				a, b := pair(t)
				t.Cleanup(func() { a.Close(); b.Close() })
				client, server := kit.TLSConfigs()
				client = client.Clone()
				client.MaxVersion = version
				f(t, tls.Client(a, client), tls.Server(b, server))
			})
		}
	}
}

// hangUp closes the connection below first: a pipe has no room for the alert that Close sends otherwise.
func hangUp(conn *tls.Conn, s *netstream.NetworkStream) {
	conn.NetConn().Close()
	s.Close()
}

func TestForeignTLSInterruptsBeforeTheHandshake(t *testing.T) {
	interrupts := map[string]func(t *testing.T, s *netstream.NetworkStream){
		"Cancel": func(t *testing.T, s *netstream.NetworkStream) {
			ar, done := kit.BeginRead(t, s, 10)
			kit.Eventually(t, "the handshake has begun", kit.BegunReads(s, 1))
			if !s.Cancel(ar) {
				t.Error("Cancel of a read before the handshake says false")
			}
			kit.WantIs(t, "the read", kit.Within(t, "the read", done).Err, context.Canceled)
		},
		"deadline": func(t *testing.T, s *netstream.NetworkStream) {
			_, done := kit.BeginRead(t, s, 10)
			_, wrote := kit.Begin(t, s, []byte("lost"))
			s.SetDeadline(time.Now().Add(10 * time.Millisecond))
			kit.WantIs(t, "the read", kit.Within(t, "the read", done).Err, os.ErrDeadlineExceeded)
			kit.WantFailure(t, "the write", kit.Within(t, "the write", wrote), 0, false, os.ErrDeadlineExceeded)
			s.SetDeadline(time.Time{})
		},
		"contexts": func(t *testing.T, s *netstream.NetworkStream) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			_, err := s.ReadContext(ctx, make([]byte, 1))
			kit.WantIs(t, "the read", err, context.DeadlineExceeded)
			ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			_, err = s.WriteContext(ctx, []byte("lost"))
			kit.WantFailure(t, "the write", err, 0, false, context.DeadlineExceeded)
		},
	}
	for name, interrupt := range interrupts {
		t.Run(name, func(t *testing.T) {
			eachTLS(t, func(t *testing.T, client, server *tls.Conn) {
				s := kit.MustNew(t, client, nil)
				defer hangUp(client, s)
				for range 3 {
					interrupt(t, s) // nobody has answered the client yet
				}
				echoed := kit.Async(func() error {
					p := make([]byte, 5)
					if _, err := io.ReadFull(server, p); err != nil {
						return err
					}
					_, err := server.Write(p)
					return err
				})
				if _, err := s.Write([]byte("hello")); err != nil {
					t.Fatal(err)
				}
				kit.ReadExactly(t, s, []byte("hello"))
				if err := kit.Within(t, "the echo", echoed); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// CloseWrite as the first call: the handshake is made for it.
func TestForeignTLSCloseWriteBeforeTheHandshake(t *testing.T) {
	eachTLS(t, func(t *testing.T, client, server *tls.Conn) {
		s := kit.MustNew(t, client, nil)
		defer hangUp(client, s)
		if err := kit.Within(t, "CloseWrite, although nobody answers", kit.Async(s.CloseWrite)); err != nil {
			t.Fatal(err)
		}
		s.SetWriteDeadline(time.Unix(1, 0)) // ends writes, not the end
		got := kit.GoRead(server)
		if o := kit.Within(t, "the peer reads to the end", got); o.Err != nil || len(o.Data) > 0 {
			t.Errorf("the peer read %q and %v", o.Data, o.Err)
		}
		if err := s.Drain(t.Context()); err != nil {
			t.Errorf("Drain: %v", err)
		}
		answered := kit.Async(func() error { _, err := server.Write([]byte("answer")); return err })
		kit.ReadExactly(t, s, []byte("answer"))
		if err := kit.Within(t, "the answer", answered); err != nil {
			t.Error(err)
		}
	})
}

// Close right after CloseWrite does not cut the end short.
func TestForeignTLSCloseAfterCloseWrite(t *testing.T) {
	for i := range 40 {
		a, b, _, _ := kit.StreamsOverTLS(t)
		got := kit.GoRead(b)
		message := kit.Patterned(i, 1+i*1000)
		if _, err := a.Write(message); err != nil {
			t.Fatal(err)
		}
		if err := a.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		a.Close()
		o := kit.Within(t, "the peer reads to the end", got)
		if o.Err != nil {
			t.Fatalf("round %d: the peer read to %v", i, o.Err)
		}
		kit.SameBytes(t, o.Data, message)
	}
}

// The connection is full, and the peer does not read: CloseWrite does not wait for that, and Drain tells what became
// of it.
func TestForeignTLSCloseWriteWhenFull(t *testing.T) {
	kit.TLSConfigs() // its once must not belong to a bubble
	full := func(t *testing.T) (*netstream.NetworkStream, *tls.Conn) {
		a, b := net.Pipe() // without a reader it is full
		client, server := kit.MustTLSOver(t, a, b)
		t.Cleanup(func() { a.Close(); b.Close() })
		return kit.MustNew(t, client, nil), server
	}
	t.Run("for ever", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, _ := full(t)
			begun := time.Now()
			if err := s.CloseWrite(); err != nil || time.Since(begun) > 0 {
				t.Errorf("CloseWrite: %v after %v", err, time.Since(begun))
			}
			drained := s.Drain(t.Context())
			kit.WantIs(t, "Drain", drained, os.ErrDeadlineExceeded)
			if took := time.Since(begun); took != 5*time.Second { // of crypto/tls
				t.Errorf("the end was given up after %v", took)
			}
			s.Close()
		})
	})
	t.Run("closed meanwhile", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, _ := full(t)
			if err := s.CloseWrite(); err != nil {
				t.Error(err)
			}
			begun := time.Now()
			s.Close()
			if took := time.Since(begun); took > 2*time.Second {
				t.Errorf("Close took %v", took)
			}
		})
	})
	t.Run("Close alone", func(t *testing.T) { // crypto/tls would take 5 s for its alert
		synctest.Test(t, func(t *testing.T) {
			s, _ := full(t)
			begun := time.Now()
			s.Close()
			if took := time.Since(begun); took > 2*time.Second {
				t.Errorf("Close took %v", took)
			}
		})
	})
	t.Run("until it reads", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, server := full(t)
			defer s.Close()
			_, wrote := kit.Begin(t, s, kit.Patterned(1, 1<<20))
			if err := s.CloseWrite(); err != nil {
				t.Error(err)
			}
			_, reading := kit.BeginRead(t, s, 10) // the other direction goes on
			if _, err := server.Write([]byte("x")); err != nil {
				t.Error(err)
			}
			if o := <-reading; string(o.Data) != "x" {
				t.Errorf("read %q, %v", o.Data, o.Err)
			}
			time.Sleep(time.Hour)
			got, err := io.ReadAll(server)
			if err != nil || !bytes.Equal(got, kit.Patterned(1, 1<<20)) {
				t.Errorf("the peer read %d bytes and %v", len(got), err)
			}
			if err := <-wrote; err != nil {
				t.Error(err)
			}
			if err := s.Drain(t.Context()); err != nil {
				t.Error(err)
			}
		})
	})
}

// Close ends a handshake that nobody answers, and everything that waits for it.
func TestForeignTLSCloseDuringTheHandshake(t *testing.T) {
	eachTLS(t, func(t *testing.T, client, _ *tls.Conn) {
		s := kit.MustNew(t, client, nil)
		_, read := kit.BeginRead(t, s, 10)
		_, wrote := kit.Begin(t, s, []byte("x"))
		if err := s.CloseWrite(); err != nil {
			t.Error(err)
		}
		kit.Eventually(t, "the handshake has begun", kit.BegunReads(s, 1))
		took := kit.Awake(func() { wantOver(t, s) })
		if took > 500*time.Millisecond { // nothing had to be waited out
			t.Errorf("Close took %v", took)
		}
		kit.WantIs(t, "the read", kit.Within(t, "the read", read).Err, net.ErrClosed)
		kit.WantIs(t, "the write", kit.Within(t, "the write", wrote), net.ErrClosed)
	})
}

// A connection that is left open goes on with its handshake.
func TestForeignTLSLeaveOpenDuringTheHandshake(t *testing.T) {
	eachTLS(t, func(t *testing.T, client, server *tls.Conn) {
		s := kit.MustNew(t, client, &netstream.Config{LeaveOpen: true})
		_, read := kit.BeginRead(t, s, 10)
		kit.Eventually(t, "the handshake has begun", kit.BegunReads(s, 1))
		wantOver(t, s)
		kit.WantIs(t, "the read", kit.Within(t, "the read", read).Err, net.ErrClosed)
		go server.Write([]byte("hello"))
		kit.ReadExactly(t, client, []byte("hello"))
	})
}

// A handshake that fails, or does not return, is the failure of every read and write.
func TestForeignTLSHandshakeThatFails(t *testing.T) {
	verify := map[string]func() error{
		"refused": func() error { return errFace },
		"Goexit":  func() error { runtime.Goexit(); return nil },
	}
	for name, f := range verify {
		t.Run(name, func(t *testing.T) {
			a, b := kit.ConnCase{Network: "tcp"}.NetPair(t)
			defer b.Close()
			clientConfig, serverConfig := kit.TLSConfigs()
			clientConfig = clientConfig.Clone()
			clientConfig.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return f() }
			served := kit.Async(tls.Server(b, serverConfig).Handshake)
			s := kit.MustNew(t, tls.Client(a, clientConfig), nil)
			_, wrote := kit.Begin(t, s, []byte("x"))
			for i := range 2 {
				_, read := kit.BeginRead(t, s, 10)
				for _, err := range []error{kit.Within(t, "the read", read).Err, kit.Within(t, "the write", wrote)} {
					kit.WantFailure(t, fmt.Sprint("operation ", i), err, 0, false)
					if name == "refused" && !errors.Is(err, errFace) || name == "Goexit" && !errors.Is(err, netstream.CodeConnectionAborted) {
						t.Errorf("%v", err)
					}
				}
				_, wrote = kit.Begin(t, s, []byte("x"))
			}
			wantOver(t, s)
			kit.Within(t, "the server's handshake", served)
		})
	}
}

// BeginWrite, BeginRead and all blocking calls make the handshake by themselves.
func TestForeignTLSFirstCalls(t *testing.T) {
	kit.EachStyle(t, func(t *testing.T, st kit.Style) {
		eachTLS(t, func(t *testing.T, client, server *tls.Conn) {
			a, b := kit.MustNew(t, client, nil), kit.MustNew(t, server, nil)
			defer hangUp(client, a)
			defer hangUp(server, b)
			wrote := kit.Async(func() error { return st.Write(a, []byte("hello")) })
			p := make([]byte, 5)
			got := kit.Async(func() error {
				n, err := st.Read(b, p)
				if err == nil && string(p[:n]) != "hello" {
					err = fmt.Errorf("read %q", p[:n])
				}
				return err
			})
			if err := kit.Within(t, "the read", got); err != nil {
				t.Error(err)
			}
			if err := kit.Within(t, "the write", wrote); err != nil {
				t.Error(err)
			}
		})
	})
}

var errFace = errors.New("no face of a friend")
