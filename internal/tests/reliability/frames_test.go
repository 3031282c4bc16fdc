package reliability_test

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// What the reliability tests share: their flags, frames that show every lost, repeated or changed byte, and child
// processes. docs/reliability.md says how they are run and what they have found.

var (
	durationFlag = flag.Duration("duration", 0, "how long each reliability test goes on, at full size; 0 is a quick run at a tenth of the size")
	seedFlag     = flag.Uint64("seed", 0, "what the faults of the reliability tests are drawn from; 0 draws one and logs it")
)

// lasting is how long a test goes on, scaled how many of something it uses.
func lasting(quick time.Duration) time.Duration {
	if *durationFlag > 0 {
		return *durationFlag
	}
	return quick
}

func scaled(quick, full int) int {
	if *durationFlag > 0 {
		return full
	}
	return quick
}

// drawSeed returns the seed of this run and tells how to have it again.
func drawSeed(t *testing.T) uint64 {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()>>1 | 1
	}
	t.Logf("faults as with -seed %d", seed)
	return seed
}

// A frame is: its length (4 bytes), the sender's tag (4), a sequence number (4), the kind (1), filler, CRC-32 (4).
const (
	frameOverhead = 17
	frameData     = 'd'
	frameBye      = 'b' // the last one of a direction
)

func fillFrame(p []byte, tag, seq uint32, kind byte) {
	binary.BigEndian.PutUint32(p, uint32(len(p)))
	binary.BigEndian.PutUint32(p[4:], tag)
	binary.BigEndian.PutUint32(p[8:], seq)
	p[12] = kind
	x := tag ^ seq*2654435761
	for i := 13; i < len(p)-4; i++ {
		x = x*1664525 + 1013904223
		p[i] = byte(x >> 24)
	}
	sealFrame(p)
}

func sealFrame(p []byte) {
	binary.BigEndian.PutUint32(p[len(p)-4:], crc32.ChecksumIEEE(p[:len(p)-4]))
}

// frameReader takes what arrives apart. Sequence numbers only rise, so a frame that comes twice or late is an error;
// those that were left out are listed.
type frameReader struct {
	buf    []byte
	max    uint32 // no frame is longer
	tag    uint32 // of the first frame
	next   uint32
	left   []uint32
	frames int // whole ones
	bytes  int64
	bye    bool
	got    func(seq uint32, frame []byte) // may be nil
}

// feed takes the next bytes. After an error it must not be called again.
func (r *frameReader) feed(p []byte) error {
	r.bytes += int64(len(p))
	r.buf = append(r.buf, p...)
	rest := r.buf
	for len(rest) >= 4 {
		size := binary.BigEndian.Uint32(rest)
		if size < frameOverhead || size > r.max {
			return fmt.Errorf("frame %d: a length of %d", r.next, size)
		}
		if uint32(len(rest)) < size {
			break
		}
		if err := r.frame(rest[:size]); err != nil {
			return err
		}
		rest = rest[size:]
	}
	r.buf = r.buf[:copy(r.buf, rest)]
	return nil
}

func (r *frameReader) frame(p []byte) error {
	tag, seq := binary.BigEndian.Uint32(p[4:]), binary.BigEndian.Uint32(p[8:])
	if sum := binary.BigEndian.Uint32(p[len(p)-4:]); sum != crc32.ChecksumIEEE(p[:len(p)-4]) {
		return fmt.Errorf("frame %d, %d bytes: wrong checksum", r.next, len(p))
	}
	if r.frames == 0 {
		r.tag = tag
	}
	switch {
	case tag != r.tag:
		return fmt.Errorf("frame %d: tag %x on the stream of %x", seq, tag, r.tag)
	case seq < r.next:
		return fmt.Errorf("frame %d again or late, want %d", seq, r.next)
	case r.bye:
		return fmt.Errorf("frame %d behind the last one", seq)
	}
	for ; r.next < seq; r.next++ {
		r.left = append(r.left, r.next)
	}
	r.next++
	r.frames++
	r.bye = p[12] == frameBye
	if r.got != nil {
		r.got(seq, p)
	}
	return nil
}

// ioCount returns how many bytes of a failed operation went out, and complains about a failure that tells no story.
func ioCount(err error) (n int64, complaint error) {
	var failure *netstream.IOError
	if !errors.As(err, &failure) {
		return 0, fmt.Errorf("no *IOError in %w", err)
	}
	return failure.N, nil
}
