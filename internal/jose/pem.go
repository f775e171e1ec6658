package jose

import "bytes"

// TrimBOM returns a text without a byte order mark, which some editors write: PEM and JSON must
// begin without one. Everything that reads a key or a certificate calls it. Text before and
// after a PEM block, as OpenSSL prints it, is ignored everywhere (RFC 7468, section 2).
func TrimBOM(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) }

// hasPEM reports whether a text has the beginning of another PEM block.
func hasPEM(text []byte) bool { return bytes.Contains(text, []byte("-----BEGIN ")) }
