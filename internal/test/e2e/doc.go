// Package e2e builds the real program and runs it as processes, and its tests hold the
// program to its promises from outside: independent clients on the wire, kill -9 under
// load, disks that fail, and the whole life of a data directory.
//
// It promises that every process it starts has ended when its test ends, also when the test
// fails or is killed itself (on Linux); that no test reads the environment or the home
// folder of its user, except for the registry that npm uses; and that nothing waits for a
// time where it can wait for an event. It uses the program by its flags, its output and
// its responses alone, and imports no other package of it. Databases that can be disturbed
// come from internal/test/pgtest. The tests of examples/ use it, too.
//
// The tests over many nodes (nodes*_test.go) disturb everything at random: nodes, the
// database, and the connections between them. The responses are judged afterwards.
package e2e
