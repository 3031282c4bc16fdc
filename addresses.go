package netstream

import (
	"net"
	"sync/atomic"
)

// addresses are the two ends of a connection, as they were when the stream took it over. Those of TCP are kept
// packed and made anew for whoever asks: two *net.TCPAddr and what they point to would be 160 bytes of every idle
// connection, against 48 here.
type addresses struct {
	local, remote packedAddr                  // constant after construction
	made          atomic.Pointer[[2]net.Addr] // local and remote, once somebody has asked, and of what cannot be packed
}

// packedAddr is a *net.TCPAddr without zone.
type packedAddr struct {
	ip   [net.IPv6len]byte
	size uint8 // how much of ip is used: IPv4 comes in 4 bytes or in 16, and is given back as it came
	port uint16
}

func (a *addresses) keep(local, remote net.Addr) {
	if !a.local.pack(local) || !a.remote.pack(remote) {
		a.made.Store(&[2]net.Addr{local, remote})
	}
}

// pack reports false for what it could not give back as it was.
func (p *packedAddr) pack(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || tcp == nil || tcp.Zone != "" || len(tcp.IP) != net.IPv4len && len(tcp.IP) != net.IPv6len {
		return false
	}
	p.size = uint8(copy(p.ip[:], tcp.IP))
	p.port = uint16(tcp.Port)
	return int(p.port) == tcp.Port
}

func (p *packedAddr) addr() net.Addr {
	return &net.TCPAddr{IP: append(net.IP(nil), p.ip[:p.size]...), Port: int(p.port)}
}

// pair returns the same two objects at every call.
func (a *addresses) pair() *[2]net.Addr {
	p := a.made.Load()
	if p == nil {
		p = &[2]net.Addr{a.local.addr(), a.remote.addr()}
		if !a.made.CompareAndSwap(nil, p) {
			p = a.made.Load()
		}
	}
	return p
}

func (a *addresses) localAddr() net.Addr  { return a.pair()[0] }
func (a *addresses) remoteAddr() net.Addr { return a.pair()[1] }
