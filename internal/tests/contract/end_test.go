package contract_test

import (
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// rowEnds are the two Ends of a stream; EndRead's number is left out.
var rowEnds = []struct {
	name string
	end  func(s *netstream.NetworkStream, ar netstream.AsyncResult) error
}{
	{"EndWrite", (*netstream.NetworkStream).EndWrite},
	{"EndRead", func(s *netstream.NetworkStream, ar netstream.AsyncResult) error { _, err := s.EndRead(ar); return err }},
}

// Row 92: the null of .NET, and that closed is reported before it.
func TestContractEndOfNothing(t *testing.T) {
	var zero netstream.AsyncResult
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for _, e := range rowEnds {
			t.Run("R92 "+e.name, func(t *testing.T) {
				for _, access := range []netstream.Access{netstream.AccessReadWrite, netstream.AccessRead, netstream.AccessWrite} {
					s, _ := c.Pair(t, &netstream.Config{Access: access}, nil)
					kit.NullArgument("asyncResult")(t, e.end(s, zero)) // no check of the direction
					s.Socket().Close()
					kit.NullArgument("asyncResult")(t, e.end(s, zero))
					s.Close()
					kit.DisposedStream(t, e.end(s, zero))
				}
			})
		}
	})
}

// Rows 93, 96, 97, 125: only the matching End of the same stream takes a result; after that mistake its owner
// still can.
func TestContractEndForeign(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		t.Run("R96 another stream", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			other, _ := c.Pair(t, nil, nil)
			write := kit.StartWrite(t, s, "mine")
			read, p := kit.StartRead(t, s, 2)
			rowForeign(t, other.EndWrite(write))
			rowForeign(t, peer.EndWrite(write))
			_, err := other.EndRead(read)
			rowForeign(t, err)
			rowOK(t, s.EndWrite(write))
			kit.WriteText(t, peer, "in")
			n, err := s.EndRead(read)
			if n != 2 || err != nil || string(p) != "in" {
				t.Errorf("%d, %v, %q after the mistake", n, err, p)
			}
		})
		t.Run("R96 another stream that is closed", func(t *testing.T) {
			s, _ := c.Pair(t, nil, nil)
			other, _ := c.Pair(t, nil, nil)
			other.Close()
			write := kit.StartWrite(t, s, "mine")
			rowForeign(t, other.EndWrite(write))
			rowOK(t, s.EndWrite(write))
		})
		t.Run("R97 R125 the other kind, at once", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			read, _ := kit.StartRead(t, s, 2) // pending: an End that took it would hang
			rowForeign(t, s.EndWrite(read))
			write := kit.StartWrite(t, s, "out")
			n, err := s.EndRead(write)
			rowForeign(t, err)
			if n != 0 {
				t.Errorf("%d bytes read by a write", n)
			}
			rowOK(t, s.EndWrite(write))
			kit.WriteText(t, peer, "in")
			if n, err := s.EndRead(read); n != 2 || err != nil {
				t.Errorf("%d, %v after the mistake", n, err)
			}
		})
	})
	t.Run("R93 results of listeners and connects", func(t *testing.T) { endForeignKinds(t) })
}

func endForeignKinds(t *testing.T) {
	ln, err := netstream.Listen("tcp", "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	accept, err := ln.BeginAccept(nil, nil)
	rowOK(t, err)
	connect, err := netstream.BeginConnect(t.Context(), "tcp", ln.Addr().String(), nil, nil, nil)
	rowOK(t, err)
	a, b := netstream.Pipe(nil)
	defer a.Close()
	defer b.Close()
	write := kit.StartWrite(t, a, "x")
	for _, ar := range []netstream.AsyncResult{accept, connect} {
		rowForeign(t, a.EndWrite(ar))
		_, err = a.EndRead(ar)
		rowForeign(t, err)
	}
	_, err = ln.EndAccept(connect)
	rowForeign(t, err)
	_, err = ln.EndAccept(write)
	rowForeign(t, err)
	_, err = netstream.EndConnect(accept)
	rowForeign(t, err)
	_, err = netstream.EndConnect(write)
	rowForeign(t, err)
	rowOK(t, a.EndWrite(write))
	for _, end := range []func() (*netstream.NetworkStream, error){
		func() (*netstream.NetworkStream, error) { return ln.EndAccept(accept) },
		func() (*netstream.NetworkStream, error) { return netstream.EndConnect(connect) },
	} {
		s, err := end()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		_, err = end()
		rowTwice(t, err)
	}
}

// Rows 94, 95, 126: one End per Begin, and a second says so at once, however late.
func TestContractEndTwice(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		t.Run("R94 R126 twice", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			write := kit.StartWrite(t, s, "out")
			rowOK(t, s.EndWrite(write))
			rowTwice(t, s.EndWrite(write))
			kit.WriteText(t, peer, "in")
			read, _ := kit.StartRead(t, s, 2)
			if n, err := s.EndRead(read); n != 2 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			if n, err := s.EndRead(read); n != 0 {
				t.Errorf("the second End has read %d", n)
			} else {
				rowTwice(t, err)
			}
			go io.Copy(io.Discard, peer)
			for range 1000 { // the operations behind the results live other lives by now
				rowOK(t, s.EndWrite(kit.StartWrite(t, s, "x")))
			}
			s.Close()
			rowTwice(t, s.EndWrite(write))
			_, err := s.EndRead(read)
			rowTwice(t, err)
		})
		t.Run("R94 R5 a failure is told once", func(t *testing.T) {
			s, _ := c.Pair(t, nil, nil)
			rowOK(t, s.CloseWrite())
			write := kit.StartWrite(t, s, "x")
			kit.Code(netstream.CodeShutdown)(t, s.EndWrite(write))
			rowTwice(t, s.EndWrite(write))
		})
		t.Run("R95 two at once", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			read, _ := kit.StartRead(t, s, 2)
			outcomes := make(chan error, 2)
			for range 2 {
				go func() { _, err := s.EndRead(read); outcomes <- err }()
			}
			rowTwice(t, kit.Within(t, "the second End", outcomes)) // while the read is pending
			kit.WriteText(t, peer, "in")
			rowOK(t, kit.Within(t, "the first End", outcomes))
		})
	})
}

// Row 104: the peer resets while somebody waits in End.
func TestContractEndThenReset(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.WithPeer(t, nil)
		write := kit.StartStuckWrite(t, s, nil)
		ended := make(chan error, 1)
		go func() { ended <- s.EndWrite(write) }()
		kit.ReadText(t, peer, "\x00") // a part is out
		kit.ResetPeer(t, peer)
		err := kit.Within(t, "EndWrite", ended)
		kit.Code(netstream.CodeConnectionReset)(t, err)
		var e *netstream.IOError
		if errors.As(err, &e); e.N <= 0 || e.N >= int64(len(kit.Large)) || !e.Torn {
			t.Errorf("N %d, Torn %v: a part was out", e.N, e.Torn)
		}
	})
}

// Row 105: operations nobody ends cost nothing but garbage.
func TestContractNeverEnded(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		var wg sync.WaitGroup
		wg.Go(func() { io.CopyN(io.Discard, peer, 2000) })
		for range 2000 {
			kit.StartWrite(t, s, "x")
		}
		rowOK(t, s.Drain(t.Context()))
		wg.Wait()
		rowOK(t, s.CloseWrite())
		kit.StartWrite(t, s, "fails") // its error is lost
		kit.WantIdle(t, s)
	})
}

// Misuse of the other two Ends.
func TestContractEndAcceptAndConnect(t *testing.T) {
	var zero netstream.AsyncResult
	ln, err := netstream.Listen("tcp", "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = ln.EndAccept(zero)
	kit.NullArgument("asyncResult")(t, err)
	_, err = netstream.EndConnect(zero)
	kit.NullArgument("asyncResult")(t, err)
	other, err := netstream.Listen("tcp", "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	accept, err := ln.BeginAccept(nil, nil)
	rowOK(t, err)
	_, err = other.EndAccept(accept)
	rowForeign(t, err)
	ln.Close()
	s, err := ln.EndAccept(accept)
	kit.Aborted("TcpListener")(t, err)
	if s != nil {
		t.Error("a stream from a closed listener")
	}
	_, err = ln.EndAccept(accept)
	rowTwice(t, err)
	_, err = ln.BeginAccept(kit.NeverCalled(t), nil)
	if e, ok := kit.BareAs[*netstream.ObjectDisposedError](err); !ok || e.ObjectName != "System.Net.Sockets.TcpListener" {
		t.Errorf("BeginAccept after Close: %T %v", err, err)
	}
	_, err = ln.AcceptStream()
	kit.Aborted("TcpListener")(t, err)
	if conn, err := ln.Accept(); conn != nil || err == nil {
		t.Errorf("Accept after Close: %v, %v", conn, err)
	}
	kit.Aborted("TcpListener")(t, ln.Close())
}
