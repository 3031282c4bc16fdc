package foreign_test

import (
	"crypto/tls"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// Listeners that are only a net.Listener, and what they hand out.

// handsOut is a listener that hands out what is sent to it, at an address that is none.
type handsOut chan net.Conn

func (l handsOut) Accept() (net.Conn, error) {
	conn, ok := <-l
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (l handsOut) Close() error   { close(l); return nil }
func (l handsOut) Addr() net.Addr { return (*textAddr)(nil) }

// A handshake that fails is logged, wherever the connection is from. No address is needed for that, nor for any error.
func TestForeignListenerFromNowhere(t *testing.T) {
	_, server := kit.TLSConfigs()
	ln := make(handsOut, 1)
	l, err := netstream.NewListener(ln, &netstream.Config{TLS: server})
	kit.Must(t, err)
	accepted := kit.Async(func() error { _, err := l.Accept(); return err })
	ours, theirs := net.Pipe()
	ln <- &nowhere{ours}
	theirs.Close()
	kit.Eventually(t, "the handshake has failed", func() bool { return l.FailedHandshakes() == 1 })
	kit.Must(t, l.Close())
	err = kit.Within(t, "Accept", accepted)
	kit.WantIs(t, "Accept", err, net.ErrClosed)
	if err.Error() == "" {
		t.Error("no text")
	}
}

// An Accept that returns neither a connection nor an error has failed.
func TestForeignListenerWithoutAConnection(t *testing.T) {
	for name, conn := range map[string]net.Conn{"nil": nil, "a nil pointer": (*nowhere)(nil)} {
		t.Run(name, func(t *testing.T) {
			ln := make(handsOut, 2)
			l, err := netstream.NewListener(ln, nil)
			kit.Must(t, err)
			defer l.Close()
			ln <- conn
			ln <- conn
			_, err = l.Accept()
			kit.WantIs(t, "Accept", err, netstream.CodeSocketError)
			ar, err := l.BeginAccept(nil, nil)
			kit.Must(t, err)
			_, err = l.EndAccept(ar)
			kit.WantIs(t, "EndAccept", err, netstream.CodeSocketError)
		})
	}
}

// vanishing is a connection whose SetDeadline ends the goroutine of its caller.
type vanishing struct{ net.Conn }

func (*vanishing) SetDeadline(time.Time) error { runtime.Goexit(); return nil }

// A connection, or an Accept, that ends the goroutine of the listener costs one accept, which is told, and not the others.
func TestForeignListenerGoesOnAfterAVanishedAccept(t *testing.T) {
	_, server := kit.TLSConfigs()
	for name, cfg := range map[string]*netstream.Config{"in the clear": nil, "TLS": {TLS: server}} {
		t.Run(name, func(t *testing.T) {
			ln := make(handsOut, 2)
			l, err := netstream.NewListener(ln, cfg)
			kit.Must(t, err)
			accept := func() <-chan error {
				ar, err := l.BeginAccept(nil, nil)
				kit.Must(t, err)
				return kit.Async(func() error {
					s, err := l.EndAccept(ar)
					if err == nil {
						s.Close()
					}
					return err
				})
			}
			first, second, third := accept(), accept(), accept()
			ours, theirs := net.Pipe()
			defer theirs.Close()
			ln <- &vanishing{ours}
			kit.WantIs(t, "the first", kit.Within(t, "the first", first), netstream.CodeConnectionAborted)
			if cfg != nil {
				client, _ := kit.TLSConfigs()
				go tls.Client(theirs, client).Handshake()
			}
			ln <- ours
			kit.Must(t, kit.Within(t, "the second", second))
			kit.Must(t, l.Close())
			kit.WantIs(t, "the third", kit.Within(t, "the third", third), net.ErrClosed)
		})
	}
}
