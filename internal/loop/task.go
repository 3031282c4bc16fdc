package loop

// A Runner is the work of one owner. Run is called once per Post, on a
// goroutine of the loop that holds no lock. It may block for ever, call
// [runtime.Goexit] and post, its own task included.
type Runner interface{ Run() }

// A Task queues a [Runner]. It is embedded by its owner, so that posting
// allocates nothing, and it must not be posted while it is queued: the owner's
// own state sees to that. From the moment Run begins it may be posted again.
type Task struct {
	Runner Runner // set by the owner before Post, constant while queued

	link
}
