package netstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"
)

// Posts and writes of every kind go out in the order of their calls, whole.
func TestPost_InOrderWithOtherWrites(t *testing.T) {
	a, b := Pipe(nil)
	defer b.Close()
	var want []byte
	for i := range 300 {
		p := bytes.Repeat([]byte{byte(i)}, 1+i*7%400)
		want = append(want, p...)
		var err error
		switch i % 4 {
		case 0, 1:
			err = a.Post(p)
		case 2:
			_, err = a.BeginWrite(p, 0, len(p), nil, nil)
		case 3:
			_, err = a.BeginWritev([][]byte{p[:1], p[1:]}, nil, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	go func() {
		a.Drain(context.Background())
		a.Close()
	}()
	if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d of %d bytes, %v", len(got), len(want), err)
	}
	if writes, n := a.Pending(); writes != 0 || n != 0 {
		t.Fatalf("%d posts of %d bytes are pending", writes, n)
	}
}

// A post that is lost ends the writing, whether part of it was out or not; WriteErr and Drain tell.
func TestPost_ALostOneEndsTheWriting(t *testing.T) {
	for _, size := range []int{10, 100 << 10} { // the pipe holds 64 KiB
		a, b := Pipe(nil)
		if err := a.Post(make([]byte, 60<<10)); err != nil {
			t.Fatal(err)
		}
		if err := a.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if size == 10 { // nothing of the one that will be lost goes out
			if err := a.Post(make([]byte, 4<<10)); err != nil {
				t.Fatal(err)
			}
			if err := a.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Post(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		full := func() bool { return size == 10 || a.Stats().BytesWritten == 64<<10 }
		for deadline := time.Now().Add(time.Minute); !full() && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		if err := a.SetWriteDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		_ = a.Drain(t.Context())
		if err := a.SetWriteDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		torn := size != 10
		for name, err := range map[string]error{
			"WriteErr": a.WriteErr(),
			"Drain":    a.Drain(t.Context()),
			"post":     a.Post([]byte("x")),
			"Begin":    func() error { _, err := a.BeginWrite([]byte("x"), 0, 1, nil, nil); return err }(),
			"Write":    func() error { _, err := a.Write([]byte("x")); return err }(),
		} {
			var failure *IOError
			if !errors.As(err, &failure) || failure.Torn != torn || !errors.Is(err, CodeTimedOut) {
				t.Errorf("%d bytes: %s: %v", size, name, err)
			}
		}
		a.mu.Lock()
		if f := a.counters.failures; f.posts != 1 || f.bytes == 0 || f.bytes > uint64(size) {
			t.Errorf("%d posts of %d bytes are counted lost", f.posts, f.bytes)
		}
		a.mu.Unlock()
		a.Close()
		b.Close()
	}
}

// What cannot be sent any more is refused at once: nobody would end it.
func TestPost_Refused(t *testing.T) {
	a, b := Pipe(&Config{MaxPendingWrites: 1, MaxPendingBytes: 100 << 10})
	defer b.Close()
	if err := a.Post([]byte{}); err != nil {
		t.Errorf("nothing: %v", err)
	}
	if err := a.Post(make([]byte, 200<<10)); err != nil {
		t.Errorf("a single one larger than the limit: %v", err)
	}
	if err := a.Post([]byte("x")); !errors.Is(err, ErrQueueFull) {
		t.Errorf("no room: %v", err)
	}
	if err := a.SetWriteDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := a.Post([]byte("x")); !errors.Is(err, CodeTimedOut) {
		t.Errorf("past the deadline: %v", err)
	}
	a.Close()
	var disposed *ObjectDisposedError
	if err := a.Post([]byte("x")); !errors.As(err, &disposed) {
		t.Errorf("closed: %v", err)
	}
}

// A post that TLS would lose is refused at once, as on any other connection that is known to be broken.
func TestPost_IsRefusedAfterTLSHasFailed(t *testing.T) {
	s := bareStream(&defaultConfig, nil, nil)
	s.auth = &authentication{phase: authDone, fatal: errAborted}
	if err := s.Post([]byte("x")); !errors.Is(err, errAborted) {
		t.Errorf("Post: %v", err)
	}
}
