// Package browser drives real browsers, Chromium and Firefox, for the tests of the pages.
//
// Each test gets tabs in a browser context of its own, with its own cookies and history; the two
// processes are shared by the tests of a test binary. Input is real: mouse, keyboard, and text as a
// password manager inserts it. A tab records each violation of a content security policy, each
// uncaught error and each request, so that a test can state that there was none.
//
// It promises that the browsers have ended when the test binary ends, also when that is killed, and
// that they reach nothing but this machine. What a page must do is for the tests. The server comes
// from package jetontest; package need says which programs must be installed.
package browser
