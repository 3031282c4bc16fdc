package loop

// A Runner is the work of one owner. Run is called once per Post, on a
// goroutine of the loop that holds no lock. It may block for ever, call
// [runtime.Goexit] and post, its own task included.
type Runner interface{ Run() }
