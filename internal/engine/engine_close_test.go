package engine_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

func TestEngine_AnOrderlyCloseDeliversEverything(t *testing.T) {
	eachKind(t, func(t *testing.T, u *under) {
		want := patterned(40 << 10)
		must(t, u.write(want))
		got := u.readPeer()
		u.finish(engine.Orderly)
		if g := within(t, "what the peer got", got); !bytes.Equal(g.data, want) || g.err != nil {
			t.Errorf("%d of %d bytes, %v", len(g.data), len(want), g.err)
		}
	})
}

func TestEngine_AResetIsNoCleanEnd(t *testing.T) {
	eachKind(t, func(t *testing.T, u *under) {
		u.echoes(t)
		u.finish(engine.Reset)
		if _, err := u.peer.Read(make([]byte, 1)); err == nil || u.resets && err == io.EOF {
			t.Errorf("the peer got %v", err)
		}
	})
}

// Keep gives the connection back in order: a deadline that was set to interrupt a call is gone.
func TestEngine_KeepGivesTheConnectionBack(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			u := k.open(t, engine.Options{LeaveOpen: true})
			u.echoes(t)
			id := u.next(engine.Read)
			if u.startRead(id, make([]byte, 1)) {
				u.Cancel(engine.Read, id, true)
				u.await(engine.Read)
			}
			u.finish(engine.Keep)
			echoed := background(func() error { _, err := io.CopyN(u.peer, u.peer, 4); return err })
			_, err := u.conn.Write([]byte("back"))
			must(t, err)
			got := make([]byte, 4)
			if _, err := io.ReadFull(u.conn, got); err != nil || string(got) != "back" {
				t.Errorf("%q, %v", got, err)
			}
			must(t, within(t, "the echo", echoed))
		})
	}
}

func TestEngine_CloseWriteEndsTheWritingHalfAlone(t *testing.T) {
	eachKind(t, func(t *testing.T, u *under) {
		if !u.Traits().Halves {
			if err := u.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("CloseWrite: %v", err)
			}
			return
		}
		must(t, u.write([]byte("all")))
		got := u.readPeer()
		if u.start(engine.Write, func() bool { return u.StartCloseWrite(u.next(engine.Write)) }) {
			if a := u.await(engine.Write); a.n != 0 || a.err != nil {
				t.Errorf("the end: %v", a)
			}
		} else {
			must(t, u.CloseWrite())
		}
		if g := within(t, "what the peer got", got); string(g.data) != "all" || g.err != nil {
			t.Errorf("%q, %v", g.data, g.err)
		}
		_, err := u.peer.Write([]byte("x"))
		must(t, err)
		u.readAll(make([]byte, 1))
	})
}

// Who forgets an engine on a loop has its descriptor closed by the handle, and nothing if it was closed already.
func TestHandle_ReleasesTheDescriptor(t *testing.T) {
	if !engine.HasLoops {
		t.Skip("no loops here")
	}
	ours, theirs := dialTCP(t)
	defer theirs.Close()
	_, handle, err := engine.NewOnLoop(newRecorder(t), ours, engine.Options{})
	must(t, err)
	ours.Close()
	handle.Release()
	if _, err := theirs.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the peer got %v", err)
	}
	handle.Release()
}
