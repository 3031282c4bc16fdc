package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const hang = time.Minute // ends a test that hangs

// startHub runs a hub and returns where its lines come from.
func startHub(t *testing.T) (h *hub, source *io.PipeWriter, published <-chan error) {
	t.Helper()
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	h, err := newHub("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted, done := make(chan error, 1), make(chan error, 1)
	go func() { accepted <- h.accept() }()
	r, w := io.Pipe()
	go func() { done <- h.publish(r) }()
	t.Cleanup(func() {
		w.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // the deaf ones will not take what waits for them
		_ = h.subscribers.Shutdown(ctx)
		<-accepted
	})
	return h, w, done
}

func subscribe(t *testing.T, h *hub) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", h.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(hang))
	return conn
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(hang); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: ", what)
		}
	}
}

// reader counts the lines that a subscriber has got, and checks that none is missing.
type reader struct {
	lines atomic.Int64
	done  chan error
}

func read(conn net.Conn, until int) *reader {
	r := &reader{done: make(chan error, 1)}
	go func() {
		lines := bufio.NewScanner(conn)
		for i := range until {
			if !lines.Scan() {
				r.done <- fmt.Errorf("the end after %d lines: %w", i, lines.Err())
				return
			}
			if want := line(i); lines.Text() != want {
				r.done <- fmt.Errorf("%q instead of %q", lines.Text(), want)
				return
			}
			r.lines.Add(1)
		}
		r.done <- nil
	}()
	return r
}

// line is 127 bytes, 128 with its end.
func line(i int) string { return fmt.Sprintf("%07d %s", i, strings.Repeat("-", 119)) }

// Whoever reads gets every line, at 1,000 lines a second in tens, however many do not read. The publisher waits for
// readers that are half of the limit behind: that a machine stands still is not the hub's doing.
func TestHubDeliversEverythingToThoseWhoRead(t *testing.T) {
	const readers, deaf, burst, bursts = 100, 5, 10, 300
	h, source, published := startHub(t)
	var subscribers []*reader
	for range readers {
		subscribers = append(subscribers, read(subscribe(t, h), burst*bursts))
	}
	for range deaf {
		_ = subscribe(t, h).(*net.TCPConn).SetReadBuffer(4 << 10)
	}
	eventually(t, "all have joined", func() bool { return h.subscribers.Stats().Streams == readers+deaf })
	pace := time.NewTicker(burst * time.Millisecond)
	defer pace.Stop()
	for b := range bursts {
		var lines strings.Builder
		for i := range burst {
			lines.WriteString(line(b*burst+i) + "\n")
		}
		if _, err := io.WriteString(source, lines.String()); err != nil {
			t.Fatal(err)
		}
		<-pace.C
		for _, r := range subscribers {
			eventually(t, "the readers follow", func() bool {
				return int64(b*burst)-r.lines.Load() < 512 || len(r.done) > 0
			})
		}
	}
	source.Close()
	if err := <-published; err != nil {
		t.Error(err)
	}
	for i, r := range subscribers {
		if err := <-r.done; err != nil {
			t.Errorf("reader %d: %v", i, err)
		}
	}
	if st := h.subscribers.Stats(); st.Streams != readers+deaf || st.WriteErr != nil {
		t.Errorf("%+v", st)
	}
}

// A subscriber that goes away leaves the group, whether it says so or not.
func TestHubForgetsThoseWhoLeave(t *testing.T) {
	h, source, _ := startHub(t)
	stays := subscribe(t, h)
	leaves, broken := subscribe(t, h), subscribe(t, h)
	eventually(t, "all have joined", func() bool { return h.subscribers.Stats().Streams == 3 })
	leaves.Close()
	_ = broken.(*net.TCPConn).SetLinger(0)
	broken.Close()
	eventually(t, "two have left", func() bool { return h.subscribers.Stats().Streams == 1 })
	if _, err := io.WriteString(source, line(0)+"\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-read(stays, 1).done; err != nil {
		t.Error(err)
	}
}

// Lines that wait when the input ends are sent before the program does.
func TestRunSendsWhatWaits(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	ln.Close()
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(context.Background(), address, r) }()
	var conn net.Conn
	eventually(t, "it listens", func() bool { conn, err = net.Dial("tcp", address); return err == nil })
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(hang))
	got := bufio.NewScanner(conn)
	for i := 0; ; i++ { // the first line that comes says that it has joined
		if _, err := io.WriteString(w, line(i)+"\n"); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if got.Scan() {
			break
		}
		got = bufio.NewScanner(conn)
	}
	_ = conn.SetReadDeadline(time.Now().Add(hang))
	if _, err := io.WriteString(w, "the last line\n"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	last := ""
	for got.Scan() {
		last = got.Text()
	}
	if got.Err() != nil || last != "the last line" {
		t.Errorf("%q, %v", last, got.Err())
	}
}

// docs/hub.md shows this program, not another one.
func TestThePageShowsThisProgram(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "hub.md"))
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("hub.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```go\n")[1:]
	if len(blocks) == 0 {
		t.Fatal("the page shows nothing")
	}
	for _, b := range blocks {
		code, _, _ := strings.Cut(b, "```")
		if !strings.Contains(string(program), code) {
			t.Errorf("the page shows what hub.go has not:\n%s", code)
		}
	}
}
