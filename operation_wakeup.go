package netstream

import "sync"

// A wakeup lets one goroutine wait for one signal. It is pooled, which a channel could not be: a channel belongs to the
// testing/synctest bubble in which it was made, a condition to nobody, and a wait for either is durable.
type wakeup struct {
	mu       sync.Mutex
	cond     sync.Cond // over mu
	signaled bool      // guarded by mu
}

var wakeups = sync.Pool{New: func() any {
	k := new(wakeup)
	k.cond.L = &k.mu
	return k
}}

func takeWakeup() *wakeup { return wakeups.Get().(*wakeup) }

// giveBack is for the waiter: when await has returned, or when no signal will come.
func (k *wakeup) giveBack() {
	k.signaled = false // nobody else knows it any more
	wakeups.Put(k)
}

func (k *wakeup) await() {
	k.mu.Lock()
	for !k.signaled {
		k.cond.Wait()
	}
	k.mu.Unlock()
}

func (k *wakeup) signal() {
	k.mu.Lock()
	k.signaled = true
	k.cond.Signal() // under the lock: afterwards the waiter may have given it back
	k.mu.Unlock()
}
