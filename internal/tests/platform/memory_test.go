//go:build js || wasip1

package platform_test

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

func TestMemory_ConnectionsHaveNoSettings(t *testing.T) {
	client, server := kit.ConnCase{Network: "tcp"}.NetPair(t)
	defer client.Close()
	defer server.Close()
	tcp := client.(*net.TCPConn)
	if tcp.SetWriteBuffer(4<<10) == nil && tcp.SetLinger(0) == nil {
		t.Error("they have")
	}
}

func TestMemory_NoOtherProcesses(t *testing.T) {
	if err := exec.Command(os.Args[0]).Run(); err == nil {
		t.Error("it has started one")
	}
}

// A stream over such a connection is one over any net.Conn.
func TestMemory_AStreamOverNetsConnection(t *testing.T) {
	client, server := kit.ConnCase{Network: "tcp"}.NetPair(t)
	a, b := kit.MustNew(t, client, nil), kit.MustNew(t, server, nil)
	defer a.Close()
	defer b.Close()
	for _, st := range kit.Styles {
		sent := kit.Async(func() error { return st.Write(a, []byte(st.Name)) })
		p := make([]byte, len(st.Name))
		if _, err := io.ReadFull(b, p); err != nil || string(p) != st.Name {
			t.Fatalf("%s: read %q, %v", st.Name, p, err)
		}
		kit.Must(t, kit.Within(t, "the write", sent))
	}
	if _, err := a.Socket().SendQueue(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("SendQueue: %v", err)
	}
	pending, err := b.BeginRead(make([]byte, 1), 0, 1, nil, nil)
	kit.Must(t, err)
	kit.Must(t, b.Close())
	if _, err := b.EndRead(pending); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a read of a stream that is closed: %v", err)
	}
	kit.Must(t, a.Close())
	if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) && !errors.As(err, new(*netstream.ObjectDisposedError)) {
		t.Errorf("a write of a closed stream: %v", err)
	}
}
