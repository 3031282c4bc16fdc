package netstream

import "github.com/seed-9ac8cf60/netstream/internal/engine"

// Lingering returns how many closed connections still linger in the background.
func Lingering() int64 { return engine.Lingering() }
