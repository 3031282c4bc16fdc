package netstream

// AfterDone has f called once, on a goroutine of its own, when the stream is over: it was closed, every operation has
// completed, every callback has returned, [NetworkStream.Done] is closed and the stream has left its group. cause is what
// [NetworkStream.Err] returns, so never nil. It is the place to take a stream out of a table, however it ended. .NET has
// nothing like it; context.AfterFunc is the model.
//
// Somebody has to close the stream: a connection that breaks does not end it, and a stream that is forgotten open never
// is over. When it is over already, f is called at once. f may call anything; several functions are called in no order,
// and nothing waits for them. A nil f panics.
//
// stop takes f back. It reports whether it did so; false says that f was called, or stop was. It does not wait for f.
// AfterDone and stop may be called from any goroutine at any time.
func (s *NetworkStream) AfterDone(f func(cause error)) (stop func() bool) {
	if f == nil {
		panic("netstream: AfterDone of a nil function")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.stream == streamDone {
		go f(s.errLocked())
		return func() bool { return false }
	}
	a := &afterDone{f: f}
	a.insert(&s.life.ending().after)
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return a.remove()
	}
}

// afterDone is a function that is to be called when its stream is done. Guarded by the stream's mu.
type afterDone struct {
	f    func(cause error)
	next *afterDone
	at   **afterDone // what points to this one; nil: it is in no list any more
}

func (a *afterDone) insert(list **afterDone) {
	a.next, a.at = *list, list
	if a.next != nil {
		a.next.at = &a.next
	}
	*list = a
}

// remove reports whether a was in a list, and takes it out.
func (a *afterDone) remove() bool {
	if a.at == nil {
		return false
	}
	*a.at = a.next
	if a.next != nil {
		a.next.at = a.at
	}
	a.at, a.next = nil, nil
	return true
}

// tellDone closes Done and calls the functions of AfterDone. The stream leaves its group first, so whoever has been told no
// longer finds it there.
func (s *NetworkStream) tellDone() {
	if g := s.config.Group; g != nil {
		g.remove(s)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.tell()
	list := &s.life.end.after
	if *list == nil {
		return
	}
	for cause := s.errLocked(); *list != nil; {
		a := *list
		a.remove()
		go a.f(cause)
	}
}
