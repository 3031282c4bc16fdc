package netstream

import "net"

// addresses are the two ends of a connection, as they were when the stream took it over. Those of TCP are kept
// packed and made anew for whoever asks: two *net.TCPAddr and what they point to would be 160 bytes of every idle
// connection, against 48 here. Constant after construction.
type addresses struct {
	local, remote packedAddr
	other         *[2]net.Addr // local and remote of what cannot be packed, else nil
}

// packedAddr is a *net.TCPAddr without zone.
type packedAddr struct {
	ip   [net.IPv6len]byte
	size uint8 // how much of ip is used: IPv4 comes in 4 bytes or in 16, and is given back as it came
	port uint16
}

func packAddresses(local, remote net.Addr) (a addresses) {
	if !a.local.pack(local) || !a.remote.pack(remote) {
		a.other = &[2]net.Addr{local, remote}
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

func (p *packedAddr) addr() net.Addr {
	return &net.TCPAddr{IP: append(net.IP(nil), p.ip[:p.size]...), Port: int(p.port)}
}

func (a *addresses) localAddr() net.Addr {
	if a.other != nil {
		return a.other[0]
	}
	return a.local.addr()
}

func (a *addresses) remoteAddr() net.Addr {
	if a.other != nil {
		return a.other[1]
	}
	return a.remote.addr()
}
