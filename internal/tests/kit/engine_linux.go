package kit

// HaveEpoll reports whether this system has the engine.
const HaveEpoll = true
