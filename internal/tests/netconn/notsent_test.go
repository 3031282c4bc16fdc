package netconn_test

import (
	"errors"
	"math"
	"net"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

func TestNotSentLowWater_BadValuesAndClosedStreams(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, _ := c.Pair(t, nil, nil)
		bad := []int{-1, math.MinInt}
		if math.MaxInt > math.MaxInt32 {
			bad = append(bad, math.MaxInt)
		}
		for _, bytes := range bad {
			err := s.Socket().SetNotSentLowWater(bytes)
			if e, ok := kit.BareAs[*netstream.ArgumentOutOfRangeError](err); !ok || e.ParamName != "bytes" || e.ActualValue != bytes {
				t.Errorf("%d: %T %v", bytes, err, err)
			}
		}
		s.Close()
		if err := s.Socket().SetNotSentLowWater(16 << 10); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
}

func TestNotSentLowWater_WhereThereIsNone(t *testing.T) {
	unsupported := func(t *testing.T, s *netstream.NetworkStream) {
		t.Helper()
		if err := s.Socket().SetNotSentLowWater(16 << 10); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%T %v", err, err)
		}
	}
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		if c.TCP() {
			t.Skip("TCP has it, where the system does")
		}
		s, _ := c.Pair(t, nil, nil)
		unsupported(t, s)
		readExactlyWritten(t, c)
	})
	t.Run("foreign", func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		s := kit.MustNew(t, ours, nil)
		defer s.Close()
		unsupported(t, s)
	})
}

// readExactlyWritten shows that a stream of the case still works.
func readExactlyWritten(t *testing.T, c kit.ConnCase) {
	t.Helper()
	s, peer := c.Pair(t, nil, nil)
	_ = s.Socket().SetNotSentLowWater(1)
	kit.Must(t, kit.WriteAll(s, "whole"))
	kit.ReadExactly(t, peer, []byte("whole"))
}
