// Package kit is what the behaviour tests share: the ways to connect two streams ([EachConn], [EachKind]) and to call
// them ([EachStyle]), to wait for what takes a moment ([Eventually], [Within], [Settled]), to check an error in all its
// layers, to run a test in a child process ([NewChild]), and the check that nothing is left over ([Main]).
//
// NETSTREAM_TEST_ENGINE (auto, epoll, portable) limits the connections to those of one engine.
package kit
