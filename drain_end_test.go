package netstream_test

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
)

// Drain waits for the end of CloseWrite too, whoever has the direction meanwhile.
func TestDrain_WaitsForTheEnd(t *testing.T) {
	for _, engine := range []netstream.Engine{netstream.EngineAuto, netstream.EngineEpoll, netstream.EnginePortable} {
		c := connCase{engine.String(), engine, "tcp"}
		if !c.usable() {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			s, peer := c.withPeer(t, nil)
			raw, err := s.SyscallConn()
			must(t, err)
			in, out := make(chan struct{}), make(chan struct{})
			writing := async(func() error {
				return raw.Write(func(uintptr) bool { close(in); <-out; return true })
			})
			<-in
			must(t, s.CloseWrite())
			ctx, cancel := context.WithCancel(t.Context())
			cancelled := async(func() error { return s.Drain(ctx) })
			eventually(t, "Drain waits", func() bool { return s.Drains() == 1 })
			cancel()
			wantIs(t, "Drain before the end", within(t, "Drain", cancelled), context.Canceled)
			close(out)
			must(t, within(t, "the raw call", writing))
			must(t, s.Drain(t.Context()))
			o := within(t, "the peer reads the end", goRead(peer))
			if o.err != nil || len(o.data) != 0 {
				t.Errorf("the peer read %q, %v", o.data, o.err)
			}
		})
	}
}

// What kept the end from being sent, Drain tells; it is no failed write.
func TestDrain_TellsWhyTheEndFailed(t *testing.T) {
	eachTCP(t, func(t *testing.T, c connCase) {
		s, peer := c.withPeer(t, nil)
		resetPeer(t, peer)
		eventually(t, "the reset has arrived", func() bool {
			_, err := s.Read(make([]byte, 1))
			return err != nil
		})
		must(t, s.CloseWrite())
		err := s.Drain(t.Context())
		if !errors.Is(err, syscall.ENOTCONN) {
			t.Errorf("Drain: %v", err)
		}
		if st := s.Stats(); st.FailedWrites != 0 || st.WriteErr != nil {
			t.Errorf("%d failed writes, %v", st.FailedWrites, st.WriteErr)
		}
	})
}
