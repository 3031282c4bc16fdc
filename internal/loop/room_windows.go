package loop

import (
	"sync"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

// A Room is one wait for room in the send buffer of a socket. Windows tells when
// an operation is over, not when a socket is ready; the driver below its select
// does. One goroutine hears its answers for all sockets, and is there only while
// something waits.
type Room struct {
	request sys.RoomRequest
	asked   *sys.Readiness // nil: the system cannot be asked
	done    chan struct{}
}

// roomPause is how long a wait takes that the system cannot end: it does not know
// the sockets of an old layered service provider.
const roomPause = 10 * time.Millisecond

var openReadiness = sync.OnceValues(sys.OpenReadiness)

// rooms are the waits that the system may write to.
var rooms struct {
	// mu guards waiting, and that the goroutine is there while it is not empty. Nothing waits under it.
	mu      sync.Mutex
	waiting map[*sys.RoomRequest]*Room
}

// AwaitRoom begins to wait. The descriptor has to stay open only until AwaitRoom
// returns.
func AwaitRoom(fd int) *Room {
	w := &Room{done: make(chan struct{})}
	readiness, err := openReadiness()
	if err != nil {
		w.endLater()
		return w
	}
	w.asked = readiness
	rooms.mu.Lock()
	if len(rooms.waiting) == 0 {
		rooms.waiting = map[*sys.RoomRequest]*Room{}
		go hearRooms(readiness)
	}
	rooms.waiting[&w.request] = w
	rooms.mu.Unlock()
	readiness.Ask(&w.request, fd)
	return w
}

// Wait returns when there is room, when there will be none, or after
// [Room.Cancel]. Which of them it was, the next send tells.
func (w *Room) Wait() { <-w.done }

// Cancel has Wait return soon. It may be called at any time.
func (w *Room) Cancel() {
	if w.asked != nil {
		w.asked.TakeBack(&w.request)
	}
}

func (w *Room) endLater() { time.AfterFunc(roomPause, func() { close(w.done) }) }

// hearRooms ends waits until there are none.
func hearRooms(readiness *sys.Readiness) {
	for more := true; more; {
		request := readiness.Next()
		rooms.mu.Lock()
		w := rooms.waiting[request]
		delete(rooms.waiting, request)
		more = len(rooms.waiting) > 0
		rooms.mu.Unlock()
		if request.Refused() {
			w.endLater()
		} else {
			close(w.done)
		}
	}
}

// WasReset reports whether a reset has ended the TCP connection, and not an end
// of the peer's stream.
func WasReset(fd int) bool {
	readiness, err := openReadiness()
	if err != nil {
		return false
	}
	reset, orderly := readiness.Ended(fd)
	return reset && !orderly
}

// EndedByReset is [WasReset] for a TCP connection on which a receive has seen the
// end. Wine hears of the end a moment later than the receive: it returns 0 also
// after a reset that nobody waited for, or that a send has reported.
func EndedByReset(fd int) bool {
	readiness, err := openReadiness()
	for try := 0; err == nil && try < 20; try++ {
		if reset, orderly := readiness.Ended(fd); reset || orderly {
			return !orderly
		}
		time.Sleep(time.Millisecond)
	}
	return false
}
