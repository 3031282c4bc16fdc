package netstream

import (
	"crypto/tls"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// hastyListener is a listener whose deadline passes a moment early.
type hastyListener struct {
	net.Listener
	conns  chan net.Conn
	closed chan struct{}
	mu     sync.Mutex // guards what follows
	over   chan struct{}
}

func (l *hastyListener) SetDeadline(at time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	over := make(chan struct{})
	l.over = over
	if !at.IsZero() {
		time.AfterFunc(time.Until(at)-time.Millisecond, func() { close(over) })
	}
	return nil
}

func (l *hastyListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	over := l.over
	l.mu.Unlock()
	select {
	case c := <-l.conns:
		return c, nil
	case <-over:
		return nil, os.ErrDeadlineExceeded
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *hastyListener) Addr() net.Addr { return new(net.TCPAddr) }

func (l *hastyListener) Close() error {
	close(l.closed)
	return nil
}

// A deadline that is moved when the listener below has stopped at the old one: whoever accepts knows nothing of that one,
// and gets a connection.
func TestListener_DeadlineMovedAtItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := &hastyListener{conns: make(chan net.Conn), closed: make(chan struct{}), over: make(chan struct{})}
		config := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }}
		l, err := NewListener(ln, &Config{TLS: config})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if err := l.SetDeadline(time.Now().Add(2 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		go l.AcceptStream()
		time.Sleep(1500 * time.Microsecond)
		if err := l.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		a, b := net.Pipe()
		defer b.Close()
		select {
		case ln.conns <- a:
		case <-time.After(time.Minute):
			t.Error("nothing is accepted any more")
		}
	})
}
