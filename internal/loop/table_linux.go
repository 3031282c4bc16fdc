package loop

import (
	"sync"

	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

// table maps the data of epoll events to sockets. Data is slot and generation:
// an event harvested before its socket was removed carries an old generation
// and finds nothing, whoever has the slot, or the descriptor number, by then.
type table struct {
	mu    sync.Mutex // a leaf: nothing is called under it
	slots []slot     // guarded by mu
	free  []uint32   // indexes of unused slots; guarded by mu
}

type slot struct {
	gen    uint32 // grows by one with each removal
	socket *Socket
}

// add gives s a slot and the slot's generation.
func (t *table) add(s *Socket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.free); n > 0 {
		s.slot, t.free = t.free[n-1], t.free[:n-1]
	} else {
		s.slot = uint32(len(t.slots))
		t.slots = append(t.slots, slot{})
	}
	e := &t.slots[s.slot]
	s.gen, e.socket = e.gen, s
}

// remove frees the slot of s.
func (t *table) remove(s *Socket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := &t.slots[s.slot]
	e.socket = nil
	e.gen++
	t.free = append(t.free, s.slot)
}

// resolve appends to dst the socket of each event, nil where it is gone.
func (t *table) resolve(dst []*Socket, events []sys.EpollEvent) []*Socket {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range events {
		data := events[i].Data()
		var s *Socket
		if e := &t.slots[uint32(data)]; e.gen == uint32(data>>32) {
			s = e.socket
		}
		dst = append(dst, s)
	}
	return dst
}
