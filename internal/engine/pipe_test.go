package engine

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func openPipe(t *testing.T) (a, b *pipeConn) {
	ca, cb := Pipe()
	t.Cleanup(func() { ca.Close(); cb.Close() })
	return ca.(*pipeConn), cb.(*pipeConn)
}

// What was written before the end arrives, whichever end it was.
func TestPipe_TheEndIsBehindTheData(t *testing.T) {
	for _, c := range []struct {
		end  func(*pipeConn) error
		want error
	}{
		{(*pipeConn).Close, io.EOF},
		{(*pipeConn).closeReset, syscall.ECONNRESET},
		{(*pipeConn).CloseWrite, io.EOF},
	} {
		a, b := openPipe(t)
		a.Write([]byte{1, 2})
		if err := c.end(a); err != nil {
			t.Error(err)
		}
		p := make([]byte, 4)
		if n, err := b.Read(p); n != 2 || err != nil {
			t.Error("the data:", n, err)
		}
		if n, err := b.Read(p); n != 0 || err != c.want {
			t.Errorf("%d, %v, want %v", n, err, c.want)
		}
	}
}

// Nobody waits for a reader that has gone: what waited fails, and so does what comes.
func TestPipe_AReaderThatHasGone(t *testing.T) {
	for _, leave := range []func(*pipeConn) error{(*pipeConn).Close, (*pipeConn).CloseRead} {
		synctest.Test(t, func(t *testing.T) {
			a, b := openPipe(t)
			if n, err := a.Write(make([]byte, pipeBuffer)); n != pipeBuffer || err != nil {
				t.Error(n, err)
			}
			waited := make(chan error, 1)
			go func() { waited <- a.awaitRoom() }()
			synctest.Wait()
			leave(b)
			synctest.Wait()
			select {
			case err := <-waited:
				if err != nil {
					t.Error(err)
				}
			default:
				t.Fatal("it still waits for room")
			}
			for _, p := range [][]byte{{1}, {}} {
				if n, err := a.Write(p); n != 0 || err != syscall.EPIPE {
					t.Error("a write to nobody:", n, err)
				}
			}
		})
	}
}

// A wait takes up a deadline that is set, moved or taken away meanwhile.
func TestPipe_DeadlinesOfWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := openPipe(t)
		start := time.Now()
		over := make(chan error, 1)
		go func() { _, err := a.Read(make([]byte, 1)); over <- err }()
		for _, in := range []time.Duration{time.Hour, time.Minute, 0, 2 * time.Hour} {
			synctest.Wait()
			at := time.Time{}
			if in > 0 {
				at = start.Add(in)
			}
			a.SetReadDeadline(at)
		}
		if err := <-over; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 2*time.Hour {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		a.SetReadDeadline(longAgo)
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
}

// A write takes the beginning of what it is given, as much as there is room for, and none while there is less than none.
func TestPipe_TakesTheBeginning(t *testing.T) {
	a, b := openPipe(t)
	if err := a.SetWriteBuffer(3); err != nil {
		t.Fatal(err)
	}
	if n, err := a.tryWrite([][]byte{{1, 2}, {3, 4}, {}, {5}}); n != 3 || err != nil {
		t.Error(n, err)
	}
	if err := b.SetReadBuffer(1); err != nil {
		t.Fatal(err)
	}
	if n, err := a.tryWrite([][]byte{{6}}); n != 0 || err != ErrWouldBlock {
		t.Error(n, err)
	}
	p := make([]byte, 8)
	if n, err := b.tryRead(p); n != 3 || err != nil || string(p[:3]) != "\x01\x02\x03" {
		t.Error(n, err, p)
	}
	b.CloseRead()
	if n, err := b.tryRead(p); n != 0 || err != io.EOF {
		t.Error("after CloseRead:", n, err)
	}
}
