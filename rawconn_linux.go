package netstream

import "time"

// hungUpPause is how long a raw call on a connection that has hung up waits before it looks again.
const hungUpPause = 20 * time.Millisecond

// rawCall implements transport. It knows f by its answers only: f may have taken all there is, a part or nothing. So a
// wait begins from the readiness of before f looked, and ends with the next event, as with net, and not because there
// still is something that f did not want: that would spin.
func (t *epoll) rawCall(d direction, turn uint32, f func(fd uintptr) bool) error {
	ready := t.socket.Readable
	if d == dirWrite {
		ready = t.socket.Writable
	}
	for !t.wasCancelled(d, turn) {
		tick, _ := ready()
		if f(uintptr(t.fd())) {
			return nil
		}
		armed := t.awaitRaw(d, turn, tick)
		if now, _ := ready(); !armed && now == tick {
			time.Sleep(hungUpPause) // no event will tell of more
		}
	}
	return errInterrupted
}

// awaitRaw waits for an event since tick. False: nothing was waited for, because there has been one, or because the
// connection has hung up.
func (t *epoll) awaitRaw(d direction, turn, tick uint32) (armed bool) {
	await, take, presume := t.socket.AwaitRead, t.socket.CancelRead, t.socket.PresumeReadable
	if d == dirWrite {
		await, take, presume = t.socket.AwaitWrite, t.socket.CancelWrite, t.socket.PresumeWritable
	}
	ended := make(chan struct{}, 1)
	t.raw[d] = ended
	defer func() { t.raw[d] = nil }()
	if !await(tick, t) {
		return false
	}
	if !t.wasCancelled(d, turn) || !take() {
		<-ended
	}
	presume() // a wait that was cancelled has forgotten what f left there
	return true
}

// rawReady tells a raw call that its wait is over, if there is one.
func (t *epoll) rawReady(d direction) bool {
	if t.raw[d] == nil {
		return false
	}
	t.raw[d] <- struct{}{}
	return true
}
