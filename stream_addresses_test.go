package netstream

import (
	"net"
	"net/netip"
	"reflect"
	"testing"
)

// A stream's addresses are those of its connection, whatever they are, and the same objects at every call.
func TestAddressesComeBackAsTheyWere(t *testing.T) {
	tcp := func(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }
	unix := &net.UnixAddr{Name: "/run/x", Net: "unix"}
	for _, pair := range [][2]net.Addr{
		{tcp("127.0.0.1:1"), tcp("10.1.2.3:65535")},
		{tcp("[::1]:80"), tcp("[2001:db8::1]:443")},
		{tcp("[::ffff:10.0.0.1]:80"), tcp("10.0.0.1:81")},
		{tcp("[fe80::1%eth0]:80"), tcp("[fe80::2%eth0]:81")},
		{unix, &net.UnixAddr{Net: "unix"}},
		{tcp("10.0.0.1:80"), unix},
		{&net.TCPAddr{}, &net.TCPAddr{IP: net.IP{1, 2, 3}, Port: 70000}},
	} {
		var a addresses
		a.keep(pair[0], pair[1])
		if got := [2]net.Addr{a.localAddr(), a.remoteAddr()}; !reflect.DeepEqual(got, pair) {
			t.Errorf("%#v became %#v", pair, got)
		}
	}
	var a addresses
	for _, null := range []net.Addr{nil, (*net.TCPAddr)(nil), (*unhelpfulAddr)(nil)} {
		a = addresses{}
		if a.keep(null, null); a.localAddr() != nil || a.remoteAddr() != nil {
			t.Errorf("%#v became %#v and %#v", null, a.localAddr(), a.remoteAddr())
		}
	}
	a = addresses{}
	a.keep(tcp("10.0.0.1:1"), tcp("10.0.0.2:2"))
	if a.localAddr() != a.localAddr() || a.remoteAddr() != a.remoteAddr() {
		t.Error("another object at the next call: as the key of a map it is not found again")
	}
}

// unhelpfulAddr panics when it is asked through a nil pointer.
type unhelpfulAddr string

func (a unhelpfulAddr) Network() string { return string(a) }
func (a unhelpfulAddr) String() string  { return string(a) }
