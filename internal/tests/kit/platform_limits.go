package kit

// Wine 8.
var wineLimits = []limit{
	{"has no Unix sockets", []string{
		"TestContractNewUnfit/R10_closed",
		"TestModelOverSockets/...-unix",
		"TestBubble/unix...",
		"TestConnectUnixErrors",
		"TestRelay_.../.../...Unix...",
	}},
	{"cannot open UDP sockets: it does not know SIO_UDP_CONNRESET", []string{
		"TestContractNewUnfit/R9_UDP...",
	}},
	{"takes a reset that no read waited for as an end", []string{
		"TestContractCloseLinger",
		"TestEngine_AResetIsNoCleanEnd/portable-tcp",
		"TestEngine_AResetIsNoCleanEnd/tls",
		"TestErrorsReadLikeNet/.../read_after_a_reset",
		"TestErrorsOfBegunOperationsReadLikeNet/...-tcp",
		"TestLeaveOpen_ATornConnectionIsResetAllTheSame/...-tcp",
		"TestModelOverSockets/...-tcp",
		"TestModelOverSockets/auto-tls", // crypto/tls takes an end at the border of a record for one
		"TestModelOverSockets/portable-tls",
		"TestCutWriteOverTLSResets",
		"TestPostsCutInARecord/...-tcp",
		"TestHub_SlowAndKilledConsumers/...-tcp",
		"TestChaos",
		"TestChaosTLS",
	}},
	{"cannot tell a reset after an end from a reset", []string{
		"TestPromise16_AFinAndThenAWriteKeepACleanEnd/...-tcp",
	}},
	// foreignConn goes around it, or nothing that is cut could be tested over a foreign connection.
	{"loses a send that package net cancels, now and then, and then net's Write never returns", []string{
		"TestEngine_ACancelledWriteCountsExactly/foreign",
		"TestEngine_ACancelledWriteCountsExactly/tls",
		"TestInterrupt/net.Conn.Write",
	}},
	{"says nothing when a direction of a dead connection is shut down", []string{
		"TestDrain_TellsWhyTheEndFailed/...-tcp",
	}},
}

// js and wasip1.
var memoryLimits = []limit{
	{"has no sockets: see HaveSockets", []string{
		"TestContractNewUnfit",
		"TestModelOverSockets/...-tcp",
		"TestModelOverSockets/...-unix",
		"TestBubble_...",
		"TestBubble/...",
	}},
	{"starts no other processes", []string{
		"TestContractPanicInCallback",
		"TestPortableCallbackFitsTheFirstStack",
	}},
}
