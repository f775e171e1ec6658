// Package e2e builds the real program and runs it as processes, and its tests hold the
// program to its promises from outside: independent clients on the wire, kill -9 under
// load, disks that fail, and the whole life of a data folder.
//
// It promises that every process it starts is gone when its test is, also when the test
// fails or is killed itself (on Linux); that no test reads the environment or the home
// of the person who runs it, but for what npm is told there of its registry; and that
// nothing waits for a time where it can wait for an event. It knows the program by its
// flags, its output and its answers alone, and imports no other package of it; databases
// that can be hurt come from internal/test/pgtest. The READMEs of the examples are run
// with it, too.
//
// The tests over many nodes (nodes*_test.go) hurt everything at random: nodes, the
// database, and the lines between them. What clients saw is judged afterwards.
package e2e
