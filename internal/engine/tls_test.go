package engine

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	mathrand "math/rand"
	"syscall"
	"testing"
)

// pattern returns n bytes that are not like each other.
func pattern(n int) []byte {
	p := make([]byte, n)
	r := mathrand.New(mathrand.NewSource(int64(n)))
	r.Read(p)
	return p
}

func TestTLSBothWays(t *testing.T) {
	eachTLS(t, func(t *testing.T, c tlsCase) {
		r := c.connect(t)
		data := pattern(300_000)
		sent := make(chan error, 1)
		go func() {
			n, err := r.Write(data)
			if err == nil && n != len(data) {
				err = errors.New("short")
			}
			sent <- err
		}()
		got := make([]byte, len(data))
		if _, err := io.ReadFull(r.peer, got); err != nil || !bytes.Equal(got, data) {
			t.Fatal("what the peer got is something else:", err)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		go r.peer.Write(data)
		clear(got)
		if _, err := io.ReadFull(r.testOwner, got); err != nil || !bytes.Equal(got, data) {
			t.Fatal("what came is something else:", err)
		}
		r.peer.CloseWrite()
		if n, err := r.Read(got); n != 0 || err != io.EOF {
			t.Fatalf("after close_notify: %d, %v", n, err)
		}
		if n, err := r.Read(nil); n != 0 || err != io.EOF {
			t.Fatalf("an empty read after close_notify: %d, %v", n, err)
		}
	})
}

// TestTLSEveryCut cuts what comes at every byte: nothing is lost, nothing is late, nothing comes that is not there.
func TestTLSEveryCut(t *testing.T) {
	eachTLS(t, func(t *testing.T, c tlsCase) {
		if c.lends {
			t.Skip("TryRead does not read there")
		}
		r := c.connect(t)
		drain(r)
		const message = "one record"
		size := len(r.sealed(func(p *tls.Conn) { p.Write([]byte(message)) }))
		r = c.connect(t)
		drain(r)
		var buffer [100]byte
		for cut := 1; cut < size; cut++ {
			record := r.sealed(func(p *tls.Conn) { p.Write([]byte(message)) })
			r.fake.feed(record[:cut])
			got := string(buffer[:takeAll(t, r, buffer[:])])
			r.fake.feed(record[cut:])
			got += string(buffer[:takeAll(t, r, buffer[:])])
			if got != message {
				t.Fatalf("cut at %d: %q", cut, got)
			}
		}
		last := r.sealed(func(p *tls.Conn) { p.CloseWrite() })
		for i := range last {
			if n, err := r.tls.TryRead(buffer[:]); n != 0 || err != ErrWouldBlock {
				t.Fatalf("%d bytes of close_notify: %d, %v", i, n, err)
			}
			r.fake.feed(last[i : i+1])
		}
		if n, err := r.tls.TryRead(buffer[:]); n != 0 || err != io.EOF {
			t.Fatalf("close_notify: %d, %v", n, err)
		}
	})
}

// drain takes what the handshake has left behind, such as session tickets.
func drain(r *rig) {
	for {
		if _, err := r.tls.TryRead(make([]byte, 1)); err != nil {
			return
		}
	}
}

// takeAll reads until nothing more is there.
func takeAll(t testing.TB, r *rig, p []byte) (sum int) {
	t.Helper()
	for {
		n, err := r.tls.TryRead(p[sum:])
		switch {
		case err == ErrWouldBlock && n == 0:
			return sum
		case err != nil || n == 0:
			t.Fatalf("TryRead: %d, %v", n, err)
		}
		sum += n
	}
}

// TestTLSOneByteFeeds has the whole connection come byte by byte, the handshake included.
func TestTLSOneByteFeeds(t *testing.T) {
	eachTLS(t, func(t *testing.T, c tlsCase) {
		own, peer := c.configs()
		r := newRig(t, c, own, peer)
		r.fake.grain = 1
		r.mustShake(t)
		data := pattern(3_000)
		go func() {
			r.peer.Write(data)
			r.peer.CloseWrite()
		}()
		got, err := io.ReadAll(r.testOwner)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	})
}

// TestTLSTruncation ends the input at every byte of a record, without close_notify: that is no end.
func TestTLSTruncation(t *testing.T) {
	eachTLS(t, func(t *testing.T, c tlsCase) {
		r := c.connect(t)
		size := len(r.sealed(func(p *tls.Conn) { p.Write([]byte("x")) }))
		for cut := 0; cut <= size; cut += 1 + size/7 {
			r := c.connect(t)
			record := r.sealed(func(p *tls.Conn) { p.Write([]byte("x")) })
			r.fake.feed(record[:cut])
			r.fake.end(io.EOF)
			got, err := io.ReadAll(r.testOwner)
			if err != io.ErrUnexpectedEOF || len(got) > 0 && cut < size {
				t.Fatalf("cut at %d: %q, %v", cut, got, err)
			}
			if _, err := r.Read(make([]byte, 1)); err != io.ErrUnexpectedEOF {
				t.Fatal("a second read:", err)
			}
			if n, err := r.Write([]byte("the other half works")); n != 20 || err != nil {
				t.Fatal(n, err)
			}
		}
	})
}

func TestTLSResetBelow(t *testing.T) {
	eachTLS(t, func(t *testing.T, c tlsCase) {
		for _, errno := range []syscall.Errno{syscall.ECONNRESET, syscall.ETIMEDOUT} {
			r := c.connect(t)
			r.fake.end(errno)
			for range 3 {
				if _, err := r.Read(make([]byte, 1)); err != errno {
					t.Fatalf("read: %v", err)
				}
			}
			r.fake.mu.Lock()
			r.fake.outErr = syscall.EPIPE
			r.fake.mu.Unlock()
			for range 3 {
				if n, err := r.Write([]byte("x")); n != 0 || err != syscall.EPIPE {
					t.Fatalf("write: %d, %v", n, err)
				}
			}
			if r.tls.Held() {
				t.Error("bytes are held for a connection that takes none")
			}
		}
	})
}

// TestTLSWaitingData puts several records into one read from below, and then the socket is silent: what is left inside is
// found, also by an empty read.
func TestTLSWaitingData(t *testing.T) {
	eachTLS(t, func(t *testing.T, c tlsCase) {
		r := c.connect(t)
		all := r.sealed(func(p *tls.Conn) {
			for range 5 {
				p.Write([]byte("12345678"))
			}
			p.CloseWrite()
		})
		r.fake.feed(all)
		r.fake.end(io.EOF) // a FIN behind it: close_notify still counts
		var p [3]byte
		var got []byte
		for {
			if n, err := r.Read(nil); n != 0 || err != nil && err != io.EOF {
				t.Fatalf("empty read: %d, %v", n, err)
			}
			n, err := r.Read(p[:])
			got = append(got, p[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil || n == 0 {
				t.Fatal(n, err)
			}
		}
		if string(got) != "1234567812345678123456781234567812345678" {
			t.Fatalf("%q", got)
		}
	})
}

// TestTLSEmptyReadWaitsForData feeds what is no data: half a record, then the rest of it.
func TestTLSEmptyReadWaitsForData(t *testing.T) {
	eachTLS(t, func(t *testing.T, c tlsCase) {
		if c.lends {
			t.Skip("TryRead does not read there")
		}
		if c.version == tls.VersionTLS10 {
			t.Skip("it makes two records of one write")
		}
		r := c.connect(t)
		drain(r)
		record := r.sealed(func(p *tls.Conn) { p.Write([]byte("ab")) })
		for i := range record {
			if n, err := r.tls.TryRead(nil); n != 0 || err != ErrWouldBlock {
				t.Fatalf("after %d bytes: %d, %v", i, n, err)
			}
			r.fake.feed(record[i : i+1])
		}
		for range 3 {
			if n, err := r.tls.TryRead(nil); n != 0 || err != nil {
				t.Fatalf("the whole record: %d, %v", n, err)
			}
		}
		if n, _ := r.tls.Available(); n != 1 {
			t.Error("Available:", n)
		}
		var p [4]byte
		if n, err := r.tls.TryRead(p[:]); n != 2 || err != nil || string(p[:2]) != "ab" {
			t.Fatalf("%d, %v, %q", n, err, p)
		}
		if n, err := r.tls.TryRead(p[:]); n != 0 || err != ErrWouldBlock {
			t.Fatalf("behind it: %d, %v", n, err)
		}
	})
}

// TestTLSBadRecords changes a record, plays it again, leaves one out, and makes one too large: one clear error, which
// stays, for both directions; the peer gets an alert.
func TestTLSBadRecords(t *testing.T) {
	bad := map[string]func(first, second []byte) []byte{
		"forged":       func(a, _ []byte) []byte { a[len(a)-1] ^= 1; return a },
		"replayed":     func(a, _ []byte) []byte { return append(a[:len(a):len(a)], a...) },
		"out of order": func(_, b []byte) []byte { return b },
		"oversized":    func(a, _ []byte) []byte { a[3], a[4] = 0xff, 0xff; return a },
		"not TLS":      func(_, _ []byte) []byte { return []byte("GET / HTTP/1.1\r\n\r\n") },
		"wrong type":   func(a, _ []byte) []byte { a[0] = 99; return a },
	}
	for name, change := range bad {
		t.Run(name, func(t *testing.T) {
			eachTLS(t, func(t *testing.T, c tlsCase) {
				r := c.connect(t)
				first := r.sealed(func(p *tls.Conn) { p.Write([]byte("first")) })
				second := r.sealed(func(p *tls.Conn) { p.Write([]byte("second")) })
				r.fake.feed(change(first, second))
				_, err := io.ReadAll(r.testOwner)
				var e *TLSError
				if !errors.As(err, &e) || e.Authentication {
					t.Fatalf("read: %T %v", err, err)
				}
				if _, again := r.Read(make([]byte, 1)); again != err {
					t.Fatal("a second read:", again)
				}
				if n, err := r.Write([]byte("x")); n != 0 || !errors.As(err, &e) {
					t.Fatalf("write: %d, %v", n, err)
				}
				var alert tls.AlertError
				if name == "forged" && (!errors.As(err, &alert) || alert != 20) {
					t.Errorf("%v is not the alert bad_record_mac", err)
				}
				if _, err := r.peer.Read(make([]byte, 1)); err == nil || err == io.EOF {
					t.Errorf("the peer got no alert: %v", err)
				}
			})
		})
	}
}

// TestTLSBackPressure lets a write out in small portions and checks the two counts: data is done when its record is out.
func TestTLSBackPressure(t *testing.T) {
	eachTLS(t, func(t *testing.T, c tlsCase) {
		if c.lends {
			t.Skip("TryWrite does not write there")
		}
		r := c.connect(t)
		go io.Copy(io.Discard, r.peer)
		data := pattern(200_000)
		offered, done := 0, 0
		for step := 1; done < len(data); step = step*3/2 + 1 {
			r.fake.allow(step)
			before := r.fake.total()
			taken, d, err := r.tls.TryWrite([][]byte{data[offered:]})
			if err != nil && err != ErrWouldBlock {
				t.Fatal(err)
			}
			offered, done = offered+taken, done+d
			if d > 0 && d > r.fake.total()-before+70_000 {
				t.Fatalf("%d bytes done, %d sent", d, r.fake.total()-before)
			}
			if done > offered || offered-done > 70_000 {
				t.Fatalf("taken %d, done %d", offered, done)
			}
			if held := r.tls.Held(); held != (err == ErrWouldBlock) {
				t.Fatalf("held %v, %v", held, err)
			}
		}
		if done != len(data) || offered != len(data) || r.tls.Held() {
			t.Fatal(offered, done)
		}
	})
}

// total is how many bytes have gone out so far.
func (f *fakeLower) total() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sum
}

// TestTLSDoneIsExact stops the connection at every byte: what is done is what the peer can decrypt.
func TestTLSDoneIsExact(t *testing.T) {
	for _, c := range tlsCases() {
		if c.lends || c.version == tls.VersionTLS10 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			for room := 0; room < 9_000; room += 97 {
				r := c.connect(t)
				data := pattern(8_000)
				r.fake.allow(room)
				_, done, err := r.tls.TryWrite([][]byte{data[:10], data[10:5000], data[5000:]})
				if err != nil && err != ErrWouldBlock {
					t.Fatal(err)
				}
				r.fake.Close(Orderly)
				got, _ := io.ReadAll(r.peer)
				if len(got) != done || !bytes.Equal(got, data[:done]) {
					t.Fatalf("room for %d: done %d, the peer got %d", room, done, len(got))
				}
			}
		})
	}
}

func TestTLSZeroByteWrite(t *testing.T) {
	eachTLS(t, func(t *testing.T, c tlsCase) {
		r := c.connect(t)
		if n, err := r.Write([]byte{}); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		if c.lends {
			return
		}
		r.fake.mu.Lock()
		r.fake.outErr = syscall.EPIPE
		r.fake.mu.Unlock()
		if n, err := r.Write([]byte{}); n != 0 || err != syscall.EPIPE {
			t.Fatal("on a broken connection:", n, err)
		}
	})
}
