//go:build linux

package main

// A sender is one connection of a contender whose writing call returns when it is done with the message, because
// the kernel has it or because it was copied.
type sender interface {
	Send(message []byte) error
}

// A flusher is a sender that keeps messages back until it is told to flush. Those who use it know where their
// batches end: the workload's window is taken as that.
type flusher interface {
	sender
	Flush() error
}

// push drives senders through the writing workloads. It returns when one fails.
func (j *job) push(senders []sender) error {
	switch j.Shape {
	case shapePipeline:
		return together(j.Writers, func(int) error { return j.sendOn(senders[0], max(j.Window/j.Writers, 1)) })
	case shapeFeed:
		return together(len(senders), func(i int) error { return j.sendOn(senders[i], j.Window) })
	}
	for n := 1; ; n++ { // fan-out
		for _, s := range senders {
			if err := s.Send(j.message); err != nil {
				return err
			}
		}
		if n%j.Window != 0 {
			continue
		}
		for _, s := range senders {
			if err := flush(s); err != nil {
				return err
			}
		}
	}
}

// sendOn writes to one stream without end and flushes after each batch.
func (j *job) sendOn(s sender, batch int) error {
	for {
		for range batch {
			if err := s.Send(j.message); err != nil {
				return err
			}
		}
		if err := flush(s); err != nil {
			return err
		}
	}
}

func flush(s sender) error {
	if f, ok := s.(flusher); ok {
		return f.Flush()
	}
	return nil
}

// together runs n calls of f at once and returns the first failure.
func together(n int, f func(i int) error) error {
	failed := make(chan error, n)
	for i := range n {
		go func() { failed <- f(i) }()
	}
	return <-failed
}
