package netstream

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// socketCase is one kind of real connection that programs run over.
type socketCase struct {
	name   string
	engine Engine
	dial   func() (client, server net.Conn, err error)
	resets bool
	tls    bool
}

func socketCases() []socketCase {
	var cases []socketCase
	engines := []Engine{EngineAuto, EnginePortable}
	if engine.HasLoops {
		engines = append(engines, EngineEpoll)
	}
	forced := os.Getenv("NETSTREAM_TEST_ENGINE")
	for _, e := range engines {
		if forced != "" && forced != e.String() {
			continue
		}
		cases = append(cases, socketCase{e.String() + "-tcp", e, dialTCPPair, true, false})
		cases = append(cases, socketCase{e.String() + "-unix", e, dialUnixPair, false, false})
		cases = append(cases, socketCase{e.String() + "-tls", e, dialTCPPair, true, true})
	}
	if forced == "" || forced == EnginePortable.String() {
		cases = append(cases, socketCase{"pipe", EnginePortable, pipePair, true, false})
		cases = append(cases, socketCase{"pipe-tls", EnginePortable, pipePair, true, true})
	}
	return cases
}

func pipePair() (client, server net.Conn, err error) {
	a, b := engine.Pipe()
	return a, b, nil
}

func dialTCPPair() (client, server net.Conn, err error) { return dialBoth("tcp", "127.0.0.1:0") }

func dialUnixPair() (client, server net.Conn, err error) {
	dir, err := os.MkdirTemp("", "ns")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	return dialBoth("unix", filepath.Join(dir, "s"))
}

func dialBoth(network, address string) (client, server net.Conn, err error) {
	ln, err := net.Listen(network, address)
	if err != nil {
		return nil, nil, err
	}
	defer ln.Close()
	if client, err = net.Dial(network, ln.Addr().String()); err != nil {
		return nil, nil, err
	}
	server, err = ln.Accept()
	return client, server, err
}

// peer is the other end of a run's connection. It records what arrives.
type peer struct {
	conn  net.Conn
	rng   *rand.Rand
	limit int // it gives up after so many bytes; 0: never
	reset bool
	slow  bool

	wire []byte
	seen error
	told atomic.Bool // a write was told of the reset: the kernel tells it once, and read gets the end
}

// read takes what arrives until the end, or until it gives up.
func (p *peer) read() {
	buffer := make([]byte, 64<<10)
	for p.limit == 0 || len(p.wire) < p.limit {
		size := len(buffer)
		if p.slow {
			size = 1 + p.rng.IntN(5000)
			if p.rng.IntN(4) == 0 {
				time.Sleep(100 * time.Microsecond)
			}
		}
		n, err := p.conn.Read(buffer[:size])
		p.wire = append(p.wire, buffer[:n]...)
		if err != nil {
			p.seen = err
			break
		}
	}
	if tcp, ok := belowTLS(p.conn).(*net.TCPConn); ok && p.reset && p.seen == nil {
		tcp.SetLinger(0)
	}
	p.conn.Close()
}

// write sends the bytes that tell their places, in pieces.
func (p *peer) write(rng *rand.Rand, all []byte) {
	for len(all) > 0 {
		n := min(1+rng.IntN(100), len(all))
		if _, err := p.conn.Write(all[:n]); err != nil {
			p.told.Store(true)
			return
		}
		all = all[n:]
		if rng.IntN(2) == 0 {
			time.Sleep(50 * time.Microsecond)
		}
	}
	if c, ok := p.conn.(interface{ CloseWrite() error }); ok && rng.IntN(2) == 0 && c.CloseWrite() != nil {
		p.told.Store(true) // over TLS it writes
	}
}

// overSockets runs the program over real connections. Times are short and sizes large, so that writes have to wait.
func (p program) overSockets(c socketCase) ([]string, error) {
	p.unit, p.scale = 50*time.Microsecond, 1000
	p.config.Engine = c.engine
	runs := p.prepare()
	var clients []net.Conn
	peers := make([]*peer, len(runs))
	done := make(chan struct{}, 2*len(runs))
	for i, r := range runs {
		client, server, err := c.dial()
		if err != nil {
			return nil, err
		}
		if k, ok := client.(interface{ SetWriteBuffer(int) error }); ok {
			k.SetWriteBuffer(16 << 10)
		}
		config, _ := (&r.p.config).withDefaults()
		if r.s, err = newStream(client, config, false); err != nil {
			return nil, err
		}
		if c.tls {
			if server, err = encrypt(r.s, server, p.seed); err != nil {
				return nil, err
			}
		}
		clients = append(clients, client)
		rng := rand.New(rand.NewPCG(p.seed, uint64(i)))
		peers[i] = &peer{conn: server, rng: rng, slow: rng.IntN(2) == 0, reset: rng.IntN(2) == 0}
		if rng.IntN(4) == 0 {
			peers[i].limit = 1 + rng.IntN(200_000)
		}
		go func() { peers[i].read(); done <- struct{}{} }()
		go func() { peers[i].write(rand.New(rand.NewPCG(p.seed, 99)), inboundBytes()); done <- struct{}{} }()
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		p.perform(runs)
		for _, r := range runs {
			r.s.Close()
			<-r.s.Done()
		}
	}()
	select {
	case <-over:
	case <-time.After(time.Minute): // a program takes milliseconds
		stacks := make([]byte, 1<<20)
		return []string{"it hangs: " + string(stacks[:runtime.Stack(stacks, true)])}, nil
	}
	for _, client := range clients {
		if p.config.LeaveOpen { // it was given back
			client.Close()
		}
	}
	for range 2 * len(runs) {
		<-done
	}
	for i, r := range runs {
		r.wire, r.resets, r.tls = peers[i].wire, c.resets && !p.config.LeaveOpen, c.tls
		r.seen = peers[i].endOf()
		if r.seen != io.EOF && r.seen != nil && !errors.Is(classify(callRead, r.seen), CodeConnectionReset) {
			r.faultf("the peer sees %v", r.seen)
		}
		r.whole = r.seen == io.EOF
		if r.seen == nil { // the peer has gone before the end
			r.seen = CodeConnectionReset
		}
	}
	return p.faults(runs), nil
}

// TestModelOverSockets runs the programs of TestModel over real connections. What a kernel does cannot be replayed, so
// a failure may not shrink; the fault list says what was seen.
func TestModelOverSockets(t *testing.T) {
	for _, c := range socketCases() {
		t.Run(c.name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				p := drawProgram(rt)
				if c.tls || c.name == "pipe" {
					p.config.LeaveOpen = false
				}
				faults, err := p.overSockets(c)
				if err != nil {
					t.Fatal(err)
				}
				if len(faults) > 0 {
					rt.Fatalf("%d faults, the first ones: %q", len(faults), slices.Clone(faults[:min(len(faults), 5)]))
				}
			})
		})
	}
}
