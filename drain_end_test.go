package netstream_test

import (
	"context"
	"errors"
	"syscall"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// Drain waits for the end of CloseWrite too, whoever has the direction meanwhile.
func TestDrain_WaitsForTheEnd(t *testing.T) {
	for _, engine := range []netstream.Engine{netstream.EngineAuto, netstream.EngineEpoll, netstream.EnginePortable} {
		c := kit.ConnCase{Name: engine.String(), Engine: engine, Network: "tcp"}
		if !c.Usable() {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			s, peer := c.WithPeer(t, nil)
			raw, err := s.SyscallConn()
			kit.Must(t, err)
			in, out := make(chan struct{}), make(chan struct{})
			writing := kit.Async(func() error {
				return raw.Write(func(uintptr) bool { close(in); <-out; return true })
			})
			<-in
			kit.Must(t, s.CloseWrite())
			ctx, cancel := context.WithCancel(t.Context())
			cancelled := kit.Async(func() error { return s.Drain(ctx) })
			kit.Eventually(t, "Drain waits", func() bool { return s.Drains() == 1 })
			cancel()
			kit.WantIs(t, "Drain before the end", kit.Within(t, "Drain", cancelled), context.Canceled)
			close(out)
			kit.Must(t, kit.Within(t, "the raw call", writing))
			kit.Must(t, s.Drain(t.Context()))
			o := kit.Within(t, "the peer reads the end", kit.GoRead(peer))
			if o.Err != nil || len(o.Data) != 0 {
				t.Errorf("the peer read %q, %v", o.Data, o.Err)
			}
		})
	}
}

// What kept the end from being sent, Drain tells; it is no failed write.
func TestDrain_TellsWhyTheEndFailed(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.WithPeer(t, nil)
		kit.ResetPeer(t, peer)
		kit.Eventually(t, "the reset has arrived", func() bool {
			_, err := s.Read(make([]byte, 1))
			return err != nil
		})
		kit.Must(t, s.CloseWrite())
		err := s.Drain(t.Context())
		if !errors.Is(err, syscall.ENOTCONN) {
			t.Errorf("Drain: %v", err)
		}
		if failure := (*netstream.IOError)(nil); !errors.As(err, &failure) {
			t.Errorf("Drain: %v is no IOError", err)
		}
		if st := s.Stats(); st.FailedWrites != 0 || st.WriteErr != nil {
			t.Errorf("%d failed writes, %v", st.FailedWrites, st.WriteErr)
		}
	})
}

// A context that is done is what Drain returns, although nothing is pending.
func TestDrain_OfAContextThatIsDone(t *testing.T) {
	s, peer := netstream.Pipe(nil)
	defer peer.Close()
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	kit.WantIs(t, "Drain", s.Drain(ctx), context.Canceled)
	kit.Must(t, s.Drain(t.Context()))
}
