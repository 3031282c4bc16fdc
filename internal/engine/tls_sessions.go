package engine

import (
	"crypto/tls"
	"reflect"
)

// A session ticket of TLS 1.3 comes with the data, and crypto/tls puts it into Config.ClientSessionCache. That is the user's
// code, which must not run on a loop or under a lock: it may wait, or use the stream. So unless it is crypto/tls's
// own cache, a goroutine puts the sessions that came after the handshake, one after the other.

// mostPuts is how many sessions wait for the user's cache: the last ones. A server can send them faster than a cache takes them,
// 64 KiB each.
const mostPuts = 8

// sessionPut is a session to put.
type sessionPut struct {
	key   string
	state *tls.ClientSessionState
}

// lateCache is the user's cache.
type lateCache struct {
	tls.ClientSessionCache
	t *TLS
}

var ownCache = reflect.TypeOf(tls.NewLRUClientSessionCache(1))

// deferPuts returns config, or a copy whose session cache is safe to be called from t.
func deferPuts(config *tls.Config, t *TLS) *tls.Config {
	cache := config.ClientSessionCache
	if cache == nil || reflect.TypeOf(cache) == ownCache {
		return config
	}
	config = config.Clone()
	config.ClientSessionCache = &lateCache{cache, t}
	return config
}

// Put is called by crypto/tls: in the handshake on a goroutine of that, later with t.mu held.
func (c *lateCache) Put(key string, state *tls.ClientSessionState) {
	if c.t.shaking.Load() != nil {
		c.ClientSessionCache.Put(key, state)
		return
	}
	if len(c.t.puts) == mostPuts {
		c.t.puts = append(c.t.puts[:0], c.t.puts[1:]...)
	}
	c.t.puts = append(c.t.puts, sessionPut{key, state})
}

// savePuts hands the sessions to the user's cache.
func (t *TLS) savePuts() {
	cache := t.options.Config.ClientSessionCache.(*lateCache).ClientSessionCache
	saved := false
	defer func() {
		if !saved { // the cache has ended the goroutine
			t.mu.Lock()
			t.putting = false
			t.mu.Unlock()
		}
	}()
	for {
		t.mu.Lock()
		if len(t.puts) == 0 {
			t.puts, t.putting, saved = nil, false, true
			t.mu.Unlock()
			return
		}
		put := t.puts[0]
		t.puts = t.puts[1:]
		t.mu.Unlock()
		cache.Put(put.key, put.state)
	}
}
