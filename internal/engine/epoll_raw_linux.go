package engine

import "time"

// hungUpPause is how long a raw call on a connection that has hung up waits before it looks again.
const hungUpPause = 20 * time.Millisecond

// RawCall implements Endpoint. It knows f by its answers only: f may have taken all there is, a part or nothing. So a
// wait begins from the readiness of before f looked, and ends with the next event, as with net, and not because there
// still is something that f did not want: that would spin.
func (t *epoll) RawCall(d Direction, id uint32, f func(fd uintptr) bool) error {
	ready := t.socket.Readable
	if d == Write {
		ready = t.socket.Writable
	}
	for !t.wasCancelled(d, id) {
		tick, _ := ready()
		if f(uintptr(t.fd())) {
			return nil
		}
		armed := t.awaitRaw(d, id, tick)
		if now, _ := ready(); !armed && now == tick {
			time.Sleep(hungUpPause) // no event will tell of more
		}
	}
	return ErrInterrupted
}

// awaitRaw waits for an event since tick. False: nothing was waited for, because there has been one, or because the
// connection has hung up.
func (t *epoll) awaitRaw(d Direction, id, tick uint32) (armed bool) {
	await, take, presume := t.socket.AwaitRead, t.socket.CancelRead, t.socket.PresumeReadable
	if d == Write {
		await, take, presume = t.socket.AwaitWrite, t.socket.CancelWrite, t.socket.PresumeWritable
	}
	ended := make(chan struct{}, 1)
	raw := &t.rarely().raw[d]
	*raw = ended
	defer func() { *raw = nil }()
	if !await(tick, t) {
		return false
	}
	if !t.wasCancelled(d, id) || !take() {
		<-ended
	}
	presume() // a wait that was cancelled has forgotten what f left there
	return true
}

// rawReady tells a raw call that its wait is over, if there is one.
func (t *epoll) rawReady(d Direction) bool {
	u := t.uncommon.Load()
	if u == nil || u.raw[d] == nil {
		return false
	}
	u.raw[d] <- struct{}{}
	return true
}
