package netstream

// Lingering returns how many closed connections still linger in the background.
func Lingering() int64 { return lingering.Load() }
