package interop

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// limit is the longest that any wait of these tests takes. It only ends a hang.
const limit = 2 * time.Minute

// live is a netstream connected with a NetworkStream of .NET.
type live struct {
	t    *testing.T
	ours *netstream.NetworkStream
	peer *program
}

// eachLive runs f with every engine, with .NET as server and as client.
func eachLive(t *testing.T, f func(t *testing.T, l *live)) {
	needMono(t)
	for _, engine := range engines(t) {
		t.Run(engine.String()+"/dotnet-serves", func(t *testing.T) {
			p := start(t, "Peer", "server")
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			port := p.hear("listening")[0]
			s, err := netstream.Dial(ctx, "tcp", net.JoinHostPort("127.0.0.1", port), &netstream.Config{Engine: engine})
			if err != nil {
				t.Fatal(err)
			}
			f(t, newLive(t, p, s))
		})
		t.Run(engine.String()+"/netstream-serves", func(t *testing.T) {
			ln, err := netstream.Listen("tcp", "127.0.0.1:0", &netstream.Config{Engine: engine})
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			p := start(t, "Peer", "client", strconv.Itoa(ln.Addr().(*net.TCPAddr).Port))
			timer := time.AfterFunc(limit, func() { ln.Close() })
			defer timer.Stop()
			s, err := ln.AcceptStream()
			if err != nil {
				t.Fatal(err)
			}
			f(t, newLive(t, p, s))
		})
	}
}

func newLive(t *testing.T, p *program, s *netstream.NetworkStream) *live {
	p.hear("connected")
	t.Cleanup(func() { s.Close() })
	return &live{t, s, p}
}

// within returns what ch delivers, and fails the test if that takes too long.
func within[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(limit):
		t.Fatal("nothing comes")
		panic("unreachable")
	}
}

// receive reads that many bytes, a BeginRead after the other, and returns their hash. "" means that it failed.
func (l *live) receive(total int) string {
	hash := sha256.New()
	done := make(chan error, 1)
	buffer := make([]byte, 64<<10)
	var next func()
	arrived := func(ar netstream.AsyncResult) {
		n, err := l.ours.EndRead(ar)
		hash.Write(buffer[:n])
		total -= n
		if err != nil || total == 0 {
			done <- err
			return
		}
		next()
	}
	next = func() {
		if _, err := l.ours.BeginRead(buffer, 0, min(len(buffer), total), arrived, nil); err != nil {
			done <- err
		}
	}
	next()
	select {
	case err := <-done:
		if err != nil {
			l.t.Error(err)
			return ""
		}
	case <-time.After(limit):
		l.t.Error("the bytes do not come")
		return ""
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// send begins count writes of size bytes, window of them at a time, and returns the hash of all when each has ended.
func (l *live) send(count, size, window int) string {
	l.t.Helper()
	random := rand.NewChaCha8([32]byte{byte(count), byte(size)})
	hash := sha256.New()
	room := make(chan struct{}, window)
	failed := make(chan error, 1)
	var ended sync.WaitGroup
	callback := func(ar netstream.AsyncResult) {
		if err := l.ours.EndWrite(ar); err != nil {
			select {
			case failed <- err:
			default:
			}
		}
		<-room
		ended.Done()
	}
	for range count {
		message := make([]byte, size)
		random.Read(message)
		hash.Write(message)
		select {
		case room <- struct{}{}:
		case <-time.After(limit):
			l.t.Fatal("no write ends")
		}
		ended.Add(1)
		if _, err := l.ours.BeginWrite(message, 0, size, callback, nil); err != nil {
			l.t.Fatal(err)
		}
	}
	done := make(chan struct{})
	go func() { ended.Wait(); close(done) }()
	within(l.t, done)
	select {
	case err := <-failed:
		l.t.Fatal(err)
	default:
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// sums wants .NET's answer to a transfer to be that many bytes with that hash.
func (l *live) sums(answer []string, bytes int, hash string) {
	l.t.Helper()
	if len(answer) < 2 || answer[0] != strconv.Itoa(bytes) || answer[1] != hash {
		l.t.Fatalf(".NET: %v, netstream: %d %s", answer, bytes, hash)
	}
}

var liveSizes = []struct{ count, size, window int }{
	{1, 1, 1}, {3, 2, 1}, {100, 100, 10}, {20, 4096, 20}, {16, 65537, 4}, {2, 1 << 20, 2}, {1, 16 << 20, 1},
}

// .NET's BeginWrite into our BeginRead, and ours into .NET's BeginRead, from one byte to 16 MiB.
func TestLiveSizes(t *testing.T) {
	eachLive(t, func(t *testing.T, l *live) {
		for _, k := range liveSizes {
			total := k.count * k.size
			l.peer.say("r receive %d 65536 0", total)
			hash := l.send(k.count, k.size, k.window)
			l.sums(l.peer.hear("r received"), total, hash)
		}
		for i, k := range liveSizes {
			total := k.count * k.size
			l.peer.say("w send %d %d %d %d", i+1, k.count, k.size, k.window)
			hash := l.receive(total)
			l.sums(l.peer.hear("w sent"), total, hash)
		}
	})
}

// Thousands of small writes, begun without waiting for the ones ahead.
func TestLivePipelined(t *testing.T) {
	eachLive(t, func(t *testing.T, l *live) {
		const count, size = 20000, 64
		l.peer.say("r receive %d 8192 0", count*size)
		hash := l.send(count, size, 4096)
		l.sums(l.peer.hear("r received"), count*size, hash)

		l.peer.say("w send 7 5000 %d 1000", size)
		hash = l.receive(5000 * size)
		l.sums(l.peer.hear("w sent"), 5000*size, hash)
	})
}

// Both directions at the same time, larger than the buffers between them.
func TestLiveBothDirections(t *testing.T) {
	eachLive(t, func(t *testing.T, l *live) {
		const count, size = 64, 64 << 10
		l.peer.say("r receive %d 30000 0", count*size)
		l.peer.say("w send 9 %d %d 8", count, size)
		in := make(chan string, 1)
		go func() { in <- l.receive(count * size) }()
		hash := l.send(count, size, 8)
		inHash := within(t, in)
		for range 2 { // their order is chance
			words := bytes.Fields([]byte(l.peer.line()))
			switch string(words[0]) + " " + string(words[1]) {
			case "r received":
				l.sums([]string{string(words[2]), string(words[3])}, count*size, hash)
			case "w sent":
				l.sums([]string{string(words[2]), string(words[3])}, count*size, inHash)
			default:
				t.Fatalf("%s", words)
			}
		}
	})
}

// Each side ends its half when it has said everything; the other half goes on.
func TestLiveHalfClose(t *testing.T) {
	eachLive(t, func(t *testing.T, l *live) {
		in := sha256.New()
		ended := CopyTo(l.ours, in)
		answer := l.peer.ask("w sent", "w send 3 10 10000 10")
		l.peer.ask("h ok", "h half-close")
		if err := within(t, ended); err != nil {
			t.Fatal(err)
		}
		l.sums(answer, 100000, hex.EncodeToString(in.Sum(nil)))

		l.peer.say("r receive 0 4096 0")
		hash := l.send(10, 20000, 10)
		if err := l.ours.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		answer = l.peer.hear("r received")
		l.sums(answer, 200000, hash)
		if answer[2] != "end" {
			t.Errorf("no end: %v", answer)
		}
	})
}

// A slow reader holds our writes back; none is lost, none completes early.
func TestLiveSlowReader(t *testing.T) {
	eachLive(t, func(t *testing.T, l *live) {
		if err := l.ours.Socket().SetWriteBuffer(64 << 10); err != nil {
			t.Fatal(err)
		}
		const size = 12 << 20
		message := make([]byte, size)
		rand.NewChaCha8([32]byte{1}).Read(message)
		task := WriteTask(l.ours, message)
		select {
		case err := <-task:
			t.Fatalf("completed before anybody read: %v", err)
		case <-time.After(100 * time.Millisecond):
		}
		l.peer.say("r receive %d 65536 1", size)
		if err := within(t, task); err != nil {
			t.Fatal(err)
		}
		hash := sha256.Sum256(message)
		l.sums(l.peer.hear("r received"), size, hex.EncodeToString(hash[:]))
	})
}

// .NET resets the connection in the middle of our write.
func TestLivePeerResets(t *testing.T) {
	eachLive(t, func(t *testing.T, l *live) {
		const size = 64 << 20
		message := make([]byte, size)
		task := WriteTask(l.ours, message)
		l.peer.ask("r received", "r receive 100000 65536 0")
		l.peer.ask("x ok", "x reset")

		err := within(t, task)
		var failure *netstream.IOError
		if !errors.As(err, &failure) || failure.N < 100000 || failure.N >= size || !failure.Torn {
			t.Fatalf("write: %v, %+v", err, failure)
		}
		wantCode(t, "write", err, netstream.CodeConnectionReset)
		_, err = l.ours.BeginWrite(message, 0, 1, nil, nil)
		if !errors.As(err, &failure) || !failure.Torn || failure.N != 0 {
			t.Errorf("a write after it: %v, want Torn", err)
		}
		if _, err = l.ours.Read(message); err == io.EOF {
			t.Error("a clean end after a reset")
		}
	})
}

// The same with a read of ours pending: the kernel tells one of the two, and neither may take it for a clean end.
func TestLivePeerResetsBoth(t *testing.T) {
	eachLive(t, func(t *testing.T, l *live) {
		read := CopyTo(l.ours, io.Discard)
		task := WriteTask(l.ours, make([]byte, 64<<20))
		l.peer.ask("r received", "r receive 100000 65536 0")
		l.peer.ask("x ok", "x reset")
		wantCode(t, "write", within(t, task), netstream.CodeConnectionReset, netstream.CodeShutdown)
		wantCode(t, "read", within(t, read), netstream.CodeConnectionReset)
	})
}

// Our Close cuts a write: .NET must see a reset, never a clean end.
func TestLiveCutWrite(t *testing.T) {
	eachLive(t, func(t *testing.T, l *live) {
		task := WriteTask(l.ours, make([]byte, 64<<20))
		l.peer.ask("r received", "r receive 100000 65536 0")
		if err := l.ours.Close(); err != nil {
			t.Fatal(err)
		}
		if err := within(t, task); !errors.Is(err, net.ErrClosed) || !errors.Is(err, netstream.CodeOperationAborted) {
			t.Errorf("our write: %v", err)
		}
		l.peer.say("s receive 0 65536 0")
		answer := l.peer.hear("s failed")
		if len(answer) < 4 || answer[0] != "IOException" || answer[2] != "ConnectionReset" || answer[3] != "10054" {
			t.Errorf(".NET: %v", answer)
		}
	})
}

// An orderly Close loses nothing, however slowly .NET reads.
func TestLiveCloseAfterWrite(t *testing.T) {
	eachLive(t, func(t *testing.T, l *live) {
		hash := l.send(50, 1000, 50)
		if err := l.ours.Close(); err != nil {
			t.Fatal(err)
		}
		answer := l.peer.ask("r received", "r receive 0 1000 5")
		l.sums(answer, 50000, hash)
		if answer[2] != "end" {
			t.Errorf("no end: %v", answer)
		}
	})
}

// wantCode wants an IOError around a SocketError with one of the codes, whose ErrorCode is the Winsock number.
func wantCode(t *testing.T, what string, err error, codes ...netstream.SocketErrorCode) {
	t.Helper()
	var failure *netstream.IOError
	var socket *netstream.SocketError
	if !errors.As(err, &failure) || !errors.As(err, &socket) {
		t.Errorf("%s: %v, want an IOError around a SocketError", what, err)
		return
	}
	if !slices.Contains(codes, socket.Code) || socket.ErrorCode() != int(socket.Code) {
		t.Errorf("%s: %v, code %s, ErrorCode %d", what, err, socket.Code.String(), socket.ErrorCode())
	}
}
