// Package gateway is the door of configured services: their login and logout, and
// routes that Jeton answers itself or hands to an upstream.
//
// It promises that an upstream hears who asks from Jeton alone: every header that could
// say so is taken from the request first, in every spelling, and always set anew; that
// neither our cookies nor Authorization reach an upstream; and that an upstream cannot
// set our cookies. It phrases questions for internal/gate and answers what comes of
// them; it judges nothing.
package gateway
