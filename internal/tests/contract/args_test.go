package contract_test

import (
	"math"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// rowBegins are the two Begins with the page's arguments. Their rules are the same (section 11).
var rowBegins = []struct {
	name    string
	begin   func(s *netstream.NetworkStream, buffer []byte, offset, size int, callback netstream.AsyncCallback, state any) (netstream.AsyncResult, error)
	forbids netstream.Access
}{
	{"BeginWrite", (*netstream.NetworkStream).BeginWrite, netstream.AccessRead},
	{"BeginRead", (*netstream.NetworkStream).BeginRead, netstream.AccessWrite},
}

// rowStates are the states a stream can be in when Begin checks its arguments, and what a Begin with valid ones
// says then (section 5).
var rowStates = []struct {
	name      string
	forbidden bool // the stream was built for the other direction
	enter     func(s *netstream.NetworkStream)
	want      func(object string) kit.Check
}{
	{"open", false, func(*netstream.NetworkStream) {}, nil},
	{"R45 closed", false, func(s *netstream.NetworkStream) { s.Close() }, func(string) kit.Check { return kit.DisposedStream }},
	{"R47 wrong direction", true, func(*netstream.NetworkStream) {}, func(string) kit.Check { return kit.InvalidOperation }},
	{"R49 wrong direction and closed", true, func(s *netstream.NetworkStream) { s.Close() }, func(string) kit.Check { return kit.DisposedStream }},
	{"R50 socket closed", false, func(s *netstream.NetworkStream) { s.Socket().Close() }, kit.Aborted},
	{"R39 wrong direction and socket closed", true, func(s *netstream.NetworkStream) { s.Socket().Close() }, func(string) kit.Check { return kit.InvalidOperation }},
	{"R39 socket and stream closed", false, func(s *netstream.NetworkStream) { s.Socket().Close(); s.Close() }, func(string) kit.Check { return kit.DisposedStream }},
}

// Rows 39 to 43, 46 and 48: bad arguments are found first, whatever the stream's state, and nothing happens.
func TestContractBeginArguments(t *testing.T) {
	const most, least = math.MaxInt, math.MinInt
	four := make([]byte, 4)
	cases := []struct {
		name         string
		buffer       []byte
		offset, size int
		want         kit.Check
	}{
		{"R40 buffer nil", nil, 0, 0, kit.NullArgument("buffer")},
		{"R40 buffer nil, the rest bad too", nil, -1, -1, kit.NullArgument("buffer")},
		{"R40 buffer nil, the rest too big", nil, most, most, kit.NullArgument("buffer")},
		{"R41 offset negative", four, -1, 0, kit.OutOfRange("offset", -1)},
		{"R41 offset negative, size too", four, -1, -1, kit.OutOfRange("offset", -1)},
		{"R41 offset least, size most", four, least, most, kit.OutOfRange("offset", least)},
		{"R41 offset negative, sum inside", four, -2, 4, kit.OutOfRange("offset", -2)},
		{"R42 offset beyond the end", four, 5, 0, kit.OutOfRange("offset", 5)},
		{"R42 offset beyond the end, size negative", four, 5, -1, kit.OutOfRange("offset", 5)},
		{"R42 offset beyond the end, size big", four, 5, 5, kit.OutOfRange("offset", 5)},
		{"R42 offset beyond an empty buffer", []byte{}, 1, 0, kit.OutOfRange("offset", 1)},
		{"R43 both most", four, most, most, kit.OutOfRange("offset", most)},
		{"R43 size negative", four, 0, -1, kit.OutOfRange("size", -1)},
		{"R43 size negative at the end", four, 4, -1, kit.OutOfRange("size", -1)},
		{"R43 size least", four, 4, least, kit.OutOfRange("size", least)},
		{"R43 size one too many", four, 0, 5, kit.OutOfRange("size", 5)},
		{"R43 size one too many at the end", four, 4, 1, kit.OutOfRange("size", 1)},
		{"R43 sum overflows", four, 1, most, kit.OutOfRange("size", most)},
		{"R43 size for an empty buffer", []byte{}, 0, 1, kit.OutOfRange("size", 1)},
		{"R43 within cap, beyond len", make([]byte, 4, 8), 0, 5, kit.OutOfRange("size", 5)},
	}
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for _, b := range rowBegins {
			for _, state := range rowStates {
				s, _ := c.Pair(t, accessOf(state.forbidden, b.forbids), nil)
				state.enter(s)
				for _, k := range cases {
					t.Run(b.name+"/"+state.name+"/"+k.name, func(t *testing.T) {
						ar, err := b.begin(s, k.buffer, k.offset, k.size, kit.NeverCalled(t), nil)
						k.want(t, err)
						if !ar.IsZero() {
							t.Error("there is a result")
						}
					})
				}
				if writes, bytes := s.Pending(); writes != 0 || bytes != 0 {
					t.Errorf("%s: %d writes, %d bytes pending", state.name, writes, bytes)
				}
			}
		}
	})
}

func accessOf(forbidden bool, a netstream.Access) *netstream.Config {
	if forbidden {
		return &netstream.Config{Access: a}
	}
	return nil
}

// Rows 45, 47, 49, 50 and the order of row 39: what each state says to good arguments, zero-byte ones included.
func TestContractBeginStates(t *testing.T) {
	valid := []struct {
		name         string
		buffer       []byte
		offset, size int
	}{
		{"all", make([]byte, 4), 0, 4},
		{"none at the end", make([]byte, 4), 4, 0},
		{"an empty buffer", []byte{}, 0, 0},
	}
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for _, b := range rowBegins {
			for _, state := range rowStates {
				if state.want == nil {
					continue
				}
				t.Run(b.name+"/"+state.name, func(t *testing.T) {
					s, _ := c.Pair(t, accessOf(state.forbidden, b.forbids), nil)
					state.enter(s)
					for _, v := range valid {
						ar, err := b.begin(s, v.buffer, v.offset, v.size, kit.NeverCalled(t), nil)
						state.want("Socket")(t, err)
						if !ar.IsZero() {
							t.Errorf("%s: there is a result", v.name)
						}
					}
				})
			}
		}
	})
}

// Row 47: a Begin in the wrong direction leaves the other one alone.
func TestContractWrongDirection(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		if c.Network == "pipe" {
			t.Skip("both ends of a pipe have one configuration")
		}
		t.Run("R47 read-only still reads", func(t *testing.T) {
			s, peer := c.Pair(t, &netstream.Config{Access: netstream.AccessRead}, nil)
			_, err := s.BeginWrite([]byte("x"), 0, 1, kit.NeverCalled(t), nil)
			kit.InvalidOperation(t, err)
			kit.WriteText(t, peer, "in")
			kit.ReadText(t, s, "in")
		})
		t.Run("R47 write-only still writes", func(t *testing.T) {
			s, peer := c.Pair(t, &netstream.Config{Access: netstream.AccessWrite}, nil)
			_, err := s.BeginRead(make([]byte, 1), 0, 1, kit.NeverCalled(t), nil)
			kit.InvalidOperation(t, err)
			kit.WriteText(t, s, "out")
			kit.ReadText(t, peer, "out")
		})
	})
}

// Row 44: empty ranges are valid.
func TestContractBeginEmptyRange(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		for _, buffer := range [][]byte{make([]byte, 4), {}} {
			ar, err := s.BeginWrite(buffer, len(buffer), 0, nil, nil)
			rowOK(t, err)
			rowOK(t, s.EndWrite(ar))
			ar, err = s.BeginRead(buffer, len(buffer), 0, nil, nil)
			rowOK(t, err)
			kit.WriteText(t, peer, "x")
			n, err := s.EndRead(ar)
			if n != 0 || err != nil {
				t.Errorf("zero-byte read: %d, %v", n, err)
			}
			kit.ReadText(t, s, "x")
		}
	})
}

// Row 51: what the network has done is not an error of Begin. The callback runs, End reports.
func TestContractBeginOnBrokenConnection(t *testing.T) {
	for _, k := range []struct {
		name string
		make func(s *netstream.NetworkStream)
		code netstream.SocketErrorCode
	}{
		{"R51 shut down", func(s *netstream.NetworkStream) { s.Socket().Shutdown(netstream.ShutdownSend) }, netstream.CodeShutdown},
		{"R51 CloseWrite", func(s *netstream.NetworkStream) { s.CloseWrite() }, netstream.CodeShutdown},
		{"R51 deadline passed", func(s *netstream.NetworkStream) { s.SetWriteDeadline(time.Unix(1, 0)) }, netstream.CodeTimedOut},
	} {
		t.Run(k.name, func(t *testing.T) {
			kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
				s, _ := c.Pair(t, nil, nil)
				k.make(s)
				for _, size := range []int{4, 0} {
					ch := make(chan netstream.AsyncResult, 2)
					ar, err := s.BeginWrite(make([]byte, 4), 0, size, func(ar netstream.AsyncResult) { ch <- ar }, nil)
					rowOK(t, err)
					kit.Within(t, "callback", ch)
					if !ar.IsCompleted() {
						t.Error("not completed in the callback")
					}
					kit.Code(k.code)(t, s.EndWrite(ar))
				}
			})
		})
	}
	t.Run("R51 read after its deadline", func(t *testing.T) {
		kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
			s, peer := c.Pair(t, nil, nil)
			rowOK(t, s.SetReadDeadline(time.Unix(1, 0)))
			ar, _ := kit.StartRead(t, s, 2)
			_, err := s.EndRead(ar)
			kit.Code(netstream.CodeTimedOut)(t, err)
			rowOK(t, s.SetReadDeadline(time.Time{}))
			kit.WriteText(t, peer, "ok")
			kit.ReadText(t, s, "ok")
		})
	})
}

// BeginWritev checks as BeginWrite does.
func TestContractBeginWritev(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		_, err := s.BeginWritev(nil, kit.NeverCalled(t), nil)
		kit.NullArgument("buffers")(t, err)
		for _, buffers := range [][][]byte{{}, {nil}, {nil, {}}} {
			ar, err := s.BeginWritev(buffers, nil, nil)
			rowOK(t, err)
			rowOK(t, s.EndWrite(ar))
		}
		ar, err := s.BeginWritev([][]byte{nil, []byte("a"), {}, []byte("bc"), nil}, nil, nil)
		rowOK(t, err)
		rowOK(t, s.EndWrite(ar))
		kit.ReadText(t, peer, "abc")
		for _, state := range rowStates {
			if state.want == nil {
				continue
			}
			s, _ := c.Pair(t, accessOf(state.forbidden, netstream.AccessRead), nil)
			state.enter(s)
			_, err := s.BeginWritev([][]byte{{1}}, kit.NeverCalled(t), nil)
			state.want("Socket")(t, err)
			_, err = s.BeginWritev(nil, kit.NeverCalled(t), nil)
			kit.NullArgument("buffers")(t, err)
		}
	})
}
