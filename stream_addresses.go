package netstream

import (
	"net"
	"sync/atomic"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// addresses are the two ends of a connection, as they were when the stream took it over. Those of TCP are kept
// packed, and unpacked for whoever asks: two *net.TCPAddr and what they point to would be 160 bytes of every idle
// connection, against 48 here.
type addresses struct {
	local, remote packedAddr           // constant after construction
	made          atomic.Pointer[ends] // of both, once somebody has asked, and of what cannot be packed
}

// ends are the two ends in full.
type ends struct {
	local, remote net.Addr
	network       string // theirs, asked for once: errors are made under locks, where no foreign code may run
}

// packedAddr is a *net.TCPAddr without zone.
type packedAddr struct {
	ip   [net.IPv6len]byte
	size uint8 // how much of ip is used: IPv4 comes in 4 bytes or in 16, and is given back as it came
	port uint16
}

func (a *addresses) keep(local, remote net.Addr) {
	if !a.local.pack(local) || !a.remote.pack(remote) {
		local, remote = orNil(local), orNil(remote)
		a.made.Store(&ends{local, remote, networkOf(local, remote)})
	}
}

// orNil takes a nil pointer, whose methods may panic, for no address.
func orNil(a net.Addr) net.Addr {
	if engine.IsNil(a) {
		return nil
	}
	return a
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

// addrText is for the log.
func addrText(a net.Addr) string {
	if engine.IsNil(a) {
		return "unknown"
	}
	return a.String()
}

func (p *packedAddr) addr() net.Addr {
	return &net.TCPAddr{IP: append(net.IP(nil), p.ip[:p.size]...), Port: int(p.port)}
}

// ends returns the same two objects at every call.
func (a *addresses) ends() *ends {
	p := a.made.Load()
	if p == nil {
		p = &ends{a.local.addr(), a.remote.addr(), "tcp"}
		if !a.made.CompareAndSwap(nil, p) {
			p = a.made.Load()
		}
	}
	return p
}

func (a *addresses) localAddr() net.Addr  { return a.ends().local }
func (a *addresses) remoteAddr() net.Addr { return a.ends().remote }

// networkOf returns the network of the first address that there is.
func networkOf(local, remote net.Addr) string {
	switch {
	case local != nil:
		return local.Network()
	case remote != nil:
		return remote.Network()
	}
	return ""
}
