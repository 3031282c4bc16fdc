package loop

import (
	"reflect"
	"testing"
)

// What a socket costs in memory: a size class of the allocator, and a word more would cost the next one.
func TestSocketFitsInItsSizeClass(t *testing.T) {
	if size := reflect.TypeFor[Socket]().Size(); size > 64 {
		t.Errorf("a socket has %d bytes", size)
	}
}

// A short receive shows that nothing is left on TCP only.
func TestOnlyTCPTakesAShortReadForTheEnd(t *testing.T) {
	l := testLoop(t, 16)
	a, _ := tcpPair(t)
	s, err := l.Add(a, true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Remove()
	if other, _ := pair(t, l); s.MustDrain() || !other.MustDrain() {
		t.Errorf("must drain: TCP %t, Unix %t", s.MustDrain(), other.MustDrain())
	}
}
