package loop

import (
	"os"
	"sync/atomic"

	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

// A Waiter is told that a direction it was armed for may make progress. The
// calls come on the harvesting goroutine: they do non-blocking I/O, post tasks
// and arm again, and never run user code.
type Waiter interface {
	ReadReady()
	WriteReady()
}

// The readiness word of a socket. Every event, arming and clearing is one
// compare-and-swap on it, so no wake-up is lost and no arm notified twice.
//
//	63        32 31       9    8      7     6     5    4     3     2    1    0
//	+-----------+----------+------+-------+-----+-----+---+-----+-----+----+----+
//	|   tick    |  unused  |remvd | armed | arm | pri |err| hup |rdhup| wr | rd |
//	|           |          |      | write | read|     |   |     |     |    |    |
//	+-----------+----------+------+-------+-----+-----+---+-----+-----+----+----+
//
// tick counts events; an answer of the kernel that was asked for under an older
// tick says nothing about now. rd and wr mean a call may succeed. rdhup, hup,
// err and pri are never cleared. The first two make the socket ready for good:
// data and FIN can come as one event, after which no other follows. err does
// not: it makes both directions ready once, for the next call to get the error,
// but tcp_poll (net/ipv4/tcp.c) also reports it, with each event, for as long as
// something is in the socket's error queue (SO_TIMESTAMPING), which no receive
// takes away; and what ends a connection comes with a hangup. While a direction
// is armed its rd or wr bit is off.
const (
	bitReadable uint64 = 1 << iota
	bitWritable
	bitRDHup
	bitHup
	bitErr
	bitUrgent
	bitArmedRead
	bitArmedWrite
	bitRemoved

	tickShift        = 32
	tickOne   uint64 = 1 << tickShift

	stickyRead  = bitRDHup | bitHup
	stickyWrite = bitHup
)

// interest is what every socket is registered for, once. EPOLLHUP and EPOLLERR
// are always reported (epoll_ctl(2)).
const interest = sys.EpollIn | sys.EpollOut | sys.EpollRDHup | sys.EpollPri | sys.EpollEdge

// A Socket is a descriptor registered with a [Loop].
//
// All methods may be called from any goroutine, but each direction has one
// owner at a time: it does not arm a direction that is armed already, nor one
// whose call could not be taken back and has not come yet.
type Socket struct {
	loop *Loop  // constant
	fd   int32  // constant
	slot uint32 // constant: index in loop.table
	gen  uint32 // constant: the slot's generation while this socket has it
	tcp  bool   // constant

	state atomic.Uint64 // the readiness word, above

	// The Waiter of each armed direction. Written by the owner before it sets
	// the armed bit, afterwards by whoever cleared that bit; nil while not
	// armed, so that an owner who waits for nothing can be collected.
	reader, writer Waiter
}

// direction is what differs between reading and writing.
type direction struct {
	ready, armed, sticky uint64
}

var (
	reading = direction{bitReadable, bitArmedRead, stickyRead}
	writing = direction{bitWritable, bitArmedWrite, stickyWrite}
)

// Loop returns the loop the socket is registered with.
func (s *Socket) Loop() *Loop { return s.loop }

// FD returns the descriptor.
func (s *Socket) FD() int { return int(s.fd) }

// TCP reports whether it is a TCP socket, as [Loop.Add] was told.
func (s *Socket) TCP() bool { return s.tcp }

// Readable reports whether a receive (or accept) may succeed now. The tick
// belongs to a call made after this one: give it to [Socket.ClearRead] or
// [Socket.AwaitRead].
func (s *Socket) Readable() (tick uint32, ok bool) { return s.ready(reading) }

// Writable is [Socket.Readable] for sends.
func (s *Socket) Writable() (tick uint32, ok bool) { return s.ready(writing) }

func (s *Socket) ready(d direction) (uint32, bool) {
	w := s.state.Load()
	return uint32(w >> tickShift), w&(d.ready|d.sticky) != 0
}

// ClearRead records that a call made under tick found the socket drained. It
// does nothing if an event has come since. After a hangup the socket stays
// readable all the same.
func (s *Socket) ClearRead(tick uint32) { s.clear(reading, tick) }

// ClearWrite is [Socket.ClearRead] for sends, after EAGAIN.
func (s *Socket) ClearWrite(tick uint32) { s.clear(writing, tick) }

func (s *Socket) clear(d direction, tick uint32) {
	for {
		old := s.state.Load()
		if uint32(old>>tickShift) != tick || old&d.ready == 0 {
			return
		}
		if s.state.CompareAndSwap(old, old&^d.ready) {
			return
		}
	}
}

// PresumeReadable makes the socket readable until a call finds it drained, as it is after [Loop.Add]: for the owner of a
// direction that does not know what another has left on the descriptor.
func (s *Socket) PresumeReadable() { s.add(bitReadable) }

// PresumeWritable is [Socket.PresumeReadable] for sends.
func (s *Socket) PresumeWritable() { s.add(bitWritable) }

// AwaitRead arms reading after a call made under tick found nothing. True:
// exactly one w.ReadReady call comes, unless [Socket.CancelRead] or
// [Socket.Remove] takes it back. False: nothing is armed, because an event has
// come since tick, or because a hangup was seen (the next receive tells which
// end it is), or because the socket is removed; try again.
func (s *Socket) AwaitRead(tick uint32, w Waiter) bool {
	return s.await(reading, &s.reader, tick, w)
}

// AwaitWrite is [Socket.AwaitRead] for sends and w.WriteReady.
func (s *Socket) AwaitWrite(tick uint32, w Waiter) bool {
	return s.await(writing, &s.writer, tick, w)
}

func (s *Socket) await(d direction, field *Waiter, tick uint32, w Waiter) bool {
	old := s.state.Load()
	if old&d.armed != 0 {
		panic("loop: direction armed twice")
	}
	if uint32(old>>tickShift) != tick || old&(d.sticky|bitRemoved) != 0 {
		return false
	}
	*field = w // published by the swap below
	for !s.state.CompareAndSwap(old, old&^d.ready|d.armed) {
		old = s.state.Load()
		if uint32(old>>tickShift) != tick || old&(d.sticky|bitRemoved) != 0 {
			*field = nil
			return false
		}
	}
	return true
}

// CancelRead takes an arm back. True: reading was armed and now is not, no call
// will come. False: it was not armed, or its call has begun or is about to.
func (s *Socket) CancelRead() bool { return s.cancel(reading, &s.reader) }

// CancelWrite is [Socket.CancelRead] for sends.
func (s *Socket) CancelWrite() bool { return s.cancel(writing, &s.writer) }

func (s *Socket) cancel(d direction, field *Waiter) bool {
	for {
		old := s.state.Load()
		if old&d.armed == 0 {
			return false
		}
		if s.state.CompareAndSwap(old, old&^d.armed) {
			*field = nil
			return true
		}
	}
}

// MustDrain reports whether only EAGAIN shows that nothing is left to receive,
// and not a short read: because the socket is not one of TCP, because urgent data
// was ever seen (EPOLLPRI), where a receive stops at the mark, or an error
// (EPOLLERR), which comes after the data. What is behind may have come with the
// same event.
func (s *Socket) MustDrain() bool { return !s.tcp || s.state.Load()&(bitUrgent|bitErr) != 0 }

// deliver turns one harvested event into state and Waiter calls. Events of one
// socket may be delivered by two goroutines at once and in any order: each only
// adds.
func (s *Socket) deliver(events uint32) {
	var add uint64
	if events&(sys.EpollIn|sys.EpollRDHup|sys.EpollHup|sys.EpollErr) != 0 {
		add |= bitReadable
	}
	if events&(sys.EpollOut|sys.EpollHup|sys.EpollErr) != 0 {
		add |= bitWritable
	}
	if events&sys.EpollRDHup != 0 {
		add |= bitRDHup
	}
	if events&sys.EpollHup != 0 {
		add |= bitHup
	}
	if events&sys.EpollErr != 0 {
		add |= bitErr
	}
	if events&sys.EpollPri != 0 {
		add |= bitUrgent
	}
	if fired := s.add(add); fired != 0 {
		s.notify(fired)
	}
}

// add merges bits into the word, bumps the tick and disarms the directions
// that became ready; it returns their armed bits.
func (s *Socket) add(bits uint64) (fired uint64) {
	for {
		old := s.state.Load()
		if old&bitRemoved != 0 {
			return 0 // harvested before Remove
		}
		fired = 0
		if bits&bitReadable != 0 {
			fired |= old & bitArmedRead
		}
		if bits&bitWritable != 0 {
			fired |= old & bitArmedWrite
		}
		if s.state.CompareAndSwap(old, (old+tickOne|bits)&^fired) {
			return fired
		}
	}
}

// notify calls the Waiters of the directions whose armed bit it has cleared.
// Both fields are taken before the first call, which may arm again.
func (s *Socket) notify(fired uint64) {
	var r, w Waiter
	if fired&bitArmedRead != 0 {
		r, s.reader = s.reader, nil
	}
	if fired&bitArmedWrite != 0 {
		w, s.writer = s.writer, nil
	}
	if r != nil {
		r.ReadReady()
	}
	if w != nil {
		w.WriteReady()
	}
}

// Remove ends the registration; it does not close the descriptor, and it must
// come before the descriptor is closed. Armed directions are taken back. No
// Waiter call begins afterwards, where a call that the cancel methods can no
// longer take back counts as begun. A second Remove does nothing and returns
// false, so of several callers one knows that the descriptor is its to close.
func (s *Socket) Remove() bool {
	for {
		old := s.state.Load()
		if old&bitRemoved != 0 {
			return false
		}
		armed := old & (bitArmedRead | bitArmedWrite)
		if !s.state.CompareAndSwap(old, old&^armed|bitRemoved) {
			continue
		}
		if armed&bitArmedRead != 0 {
			s.reader = nil
		}
		if armed&bitArmedWrite != 0 {
			s.writer = nil
		}
		break
	}
	// The kernel first: once the slot is free its next owner must not get
	// events of this descriptor (they would carry the old generation, but
	// there is no need to rely on it).
	_ = sys.EpollDel(s.loop.epoll.fd, s.FD()) // an fd that is not there any more is what was wanted
	s.loop.table.remove(s)
	s.loop.exit()
	return true
}

// Add registers fd, which must be a non-blocking socket that is connected,
// connecting or listening (an unconnected one reports a hangup at once); tcp says
// whether it is one of TCP. It starts out presumed readable and writable: the
// first call finds out. A loop that has ended starts again, which may fail for
// want of descriptors; the next Add tries again.
func (l *Loop) Add(fd int, tcp bool) (*Socket, error) {
	if err := l.enter(); err != nil {
		return nil, err
	}
	s := &Socket{loop: l, fd: int32(fd), tcp: tcp}
	s.state.Store(bitReadable | bitWritable)
	l.table.add(s)
	data := uint64(s.gen)<<32 | uint64(s.slot)
	if errno := sys.EpollAdd(l.epoll.fd, fd, interest, data); errno != 0 {
		l.table.remove(s)
		l.exit()
		return nil, os.NewSyscallError("epoll_ctl", errno)
	}
	return s, nil
}
