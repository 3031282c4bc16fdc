package netstream

// writeEffects is what the writing queue answers.
type writeEffects struct {
	effects
	spent *chunk // to be given back when mu has been given up
	freed freed  // room of posts that are over, on the way to the counts

	// With rare:
	drained  opList        // Drain calls that wait for nothing any more
	failures writeFailures // of writes that were begun, and posts
	lost     int64         // bytes not sent of writes and posts that failed, without those taken back
	canceled int64         // bytes of writes that were taken back
	shutOut  int64         // bytes of blocking writes that were ended while they waited for room
	dropped  int32         // writes and posts that were dropped
	flush    bool          // something is to be sent: somebody has to own the direction
	roomLeft bool          // nobody waits for room any more

	alone bool // the write that was alone in flight has gone out: settle is to end it
}

// spend takes chunks, linked by next, out of use.
func (fx *writeEffects) spend(c *chunk) {
	for c != nil {
		next := c.next
		c.next, fx.spent = fx.spent, c
		c = next
	}
}

// release is for when mu has been given up.
func (fx *writeEffects) release() {
	if fx.over.head != nil {
		fx.effects.release()
	}
	if fx.spent != nil {
		giveBackChunks(fx.spent)
		fx.spent = nil
	}
}
