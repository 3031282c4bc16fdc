package interop

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// pair connects two sockets over loopback; small shrinks the buffers between them.
func (r *Runner) pair(unix, small bool) (raw, peer net.Conn, err error) {
	network, address := "tcp", "127.0.0.1:0"
	if unix {
		directory, err := os.MkdirTemp("", "netstream")
		if err != nil {
			return nil, nil, err
		}
		r.atEnd(func() { os.RemoveAll(directory) })
		network, address = "unix", filepath.Join(directory, "s")
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		return nil, nil, err
	}
	defer ln.Close()
	raw, err = net.Dial(network, ln.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	peer, err = ln.Accept()
	if err != nil {
		raw.Close()
		return nil, nil, err
	}
	if small {
		err = errors.Join(raw.(buffered).SetWriteBuffer(32<<10), peer.(buffered).SetReadBuffer(64<<10))
	}
	return raw, peer, err
}

type buffered interface {
	SetReadBuffer(int) error
	SetWriteBuffer(int) error
	CloseRead() error
	CloseWrite() error
}

// connect makes a stream: access=read or write, leave-open, small, unix, as=NAME.
func (r *Runner) connect(a args) string {
	raw, peer, err := r.pair(a.has("unix"), a.has("small"))
	if err != nil {
		return r.fail(err)
	}
	access := map[string]netstream.Access{"read": netstream.AccessRead, "write": netstream.AccessWrite}
	l := &link{raw: raw, peer: peer}
	l.stream, err = netstream.New(raw, &netstream.Config{
		Engine: r.engine, Access: access[a.keys["access"]], LeaveOpen: a.has("leave-open"),
	})
	r.mu.Lock()
	r.links[a.named("as", "s")] = l
	r.mu.Unlock()
	return r.fail(err)
}

// odd returns something that New should look at twice.
func (r *Runner) odd(a args) (net.Conn, *netstream.Config) {
	cfg := &netstream.Config{Engine: r.engine, Access: netstream.Access(a.key("access", 0))}
	switch a.word(0) {
	case "null":
		return nil, cfg
	case "udp":
		conn, err := net.Dial("udp", "127.0.0.1:9")
		if err != nil {
			panic(err)
		}
		r.atEnd(func() { conn.Close() })
		return conn, cfg
	}
	raw, peer, err := r.pair(false, false)
	if err != nil {
		panic(err)
	}
	r.atEnd(func() { raw.Close(); peer.Close() })
	switch a.word(0) {
	case "closed":
		raw.Close()
	case "shut":
		if err := errors.Join(raw.(buffered).CloseRead(), raw.(buffered).CloseWrite()); err != nil {
			panic(err)
		}
	}
	return raw, cfg
}

func (r *Runner) peerSend(a args) string {
	_, err := r.link(a).peer.Write(fill(a.number(0), a.key("fill", 7)))
	time.Sleep(settle)
	return r.fail(err)
}

// peerRead reads that many bytes and tells their values, each run of equal ones once.
func (r *Runner) peerRead(a args) string {
	l := r.link(a)
	var seen runs
	all := a.has("all") // all there is, however much
	want := math.MaxInt
	if !all {
		want = a.number(0)
	}
	var total int
	ending, limit := "", patience
	if all {
		limit = quiet
	}
	buffer := make([]byte, 64<<10)
	for total < want && ending == "" {
		n, err := r.peerOnce(l, buffer[:min(len(buffer), want-total)], limit)
		seen.add(buffer[:n])
		total += n
		ending = peerEnding(err)
	}
	text := strings.TrimSpace(seen.text())
	if !all {
		text = bytesText(total) + ":" + seen.text()
	}
	if ending != "" {
		text += ", " + ending
	}
	return text
}

// peerEnd reads to the end and tells how much of all that was begun came, and how it ended.
func (r *Runner) peerEnd(a args) string {
	l := r.link(a)
	buffer := make([]byte, 64<<10)
	ending := ""
	for ending == "" {
		_, err := r.peerOnce(l, buffer, patience)
		ending = peerEnding(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	share := "some"
	switch {
	case l.got == l.asked:
		share = "all"
	case l.got > l.asked:
		share = "too much"
	case l.got == 0:
		share = "nothing"
	}
	return share + ", " + ending
}

// quiet is how long nothing has to come before peer-read all says that nothing more comes.
const quiet = 2 * time.Second

func (r *Runner) peerOnce(l *link, buffer []byte, limit time.Duration) (int, error) {
	if err := l.peer.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return 0, err
	}
	n, err := l.peer.Read(buffer)
	r.mu.Lock()
	l.got += int64(n)
	r.mu.Unlock()
	return n, err
}

func peerEnding(err error) string {
	switch {
	case err == nil:
		return ""
	case err == io.EOF:
		return "end"
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "open"
	}
	return err.Error()
}

// runs are the values of a stretch of bytes, each run of equal ones once.
type runs struct {
	values []byte
	more   bool
}

func (s *runs) add(p []byte) {
	for _, b := range p {
		if n := len(s.values); n > 0 && s.values[n-1] == b || s.more {
			continue
		}
		if len(s.values) == 32 {
			s.more = true
			continue
		}
		s.values = append(s.values, b)
	}
}

func (s *runs) text() string {
	var out strings.Builder
	for _, v := range s.values {
		fmt.Fprintf(&out, " %d", v)
	}
	if s.more {
		out.WriteString(" ...")
	}
	return out.String()
}

// peerAvailable tells how many bytes lie at the peer, without taking them.
func (r *Runner) peerAvailable(a args) string {
	time.Sleep(settle)
	n, err := r.link(a).available()
	if err != nil {
		return r.fail(err)
	}
	return bytesText(n)
}

func (l *link) available() (n int, err error) {
	raw, err := l.peer.(syscall.Conn).SyscallConn()
	if err != nil {
		return 0, err
	}
	failed := raw.Control(func(fd uintptr) { n, err = peek(fd) })
	return n, errors.Join(failed, err)
}

// untilStuck waits until bytes lie at a peer that does not read and no more of them come: the buffers are full.
func (r *Runner) untilStuck(a args) string {
	l := r.link(a)
	if _, err := l.available(); errors.Is(err, errors.ErrUnsupported) { // nothing to look at here
		time.Sleep(asleep)
		return "ok"
	}
	last, same := 0, 0
	stuck := func() bool {
		n, err := l.available()
		if err != nil || n == 0 || n != last {
			last, same = n, 0
			return false
		}
		same++
		return same == 20
	}
	for end := time.Now().Add(patience); !stuck(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return "not stuck"
		}
	}
	return "ok"
}

func (r *Runner) peerClose(a args) string {
	err := r.link(a).peer.Close()
	time.Sleep(settle)
	return r.fail(err)
}

func (r *Runner) peerReset(a args) string {
	peer := r.link(a).peer
	err := errors.Join(peer.(*net.TCPConn).SetLinger(0), peer.Close())
	time.Sleep(settle)
	return r.fail(err)
}

func (r *Runner) peerShutdown(a args) string {
	peer := r.link(a).peer.(buffered)
	var err error
	if a.word(0) == "send" {
		err = peer.CloseWrite()
	} else {
		err = peer.CloseRead()
	}
	time.Sleep(settle)
	return r.fail(err)
}
