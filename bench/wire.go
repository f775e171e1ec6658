package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// The kinds of request that a load sends.
const (
	kindPlain  = "plain"  // GET
	kindCookie = "cookie" // GET with the cookie of one of many sessions
	kindLogout = "logout" // POST with it
	kindToken  = "token"  // GET with one of many personal tokens
	kindLogin  = "login"  // POST of a name and a password
	kindHeader = "header" // GET with one of many values of the header Authorization
	kindBody   = "body"   // POST of one of many bodies
)

// secret returns the secret of a seeded session: as long and as random looking as a real
// one, but computed from its number.
func secret(i int) string {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(i))
	sum := sha256.Sum256(n[:])
	return "jtn_s_" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// userName returns the name of a seeded user.
func userName(i int) string { return fmt.Sprintf("u%06d", i) }

// appendRequest appends the request number i of a load.
func (l *load) appendRequest(b []byte, i int) []byte {
	method := "GET "
	if l.Kind == kindLogin || l.Kind == kindBody || l.Kind == kindLogout {
		method = "POST "
	}

	b = append(append(append(b, method...), l.Path...), " HTTP/1.1\r\nHost: 127.0.0.1\r\n"...)

	switch l.Kind {
	case kindCookie, kindLogout:
		b = append(b, "Cookie: jeton="...)
		b = append(b, secret(l.From+i)...)
		b = append(b, "\r\n"...)
		if l.Header != "" {
			b = append(append(b, l.Header...), "\r\n"...)
		}
		if l.Kind == kindLogout {
			b = append(b, "Content-Length: 0\r\n"...)
		}
	case kindToken:
		text, _ := personal(l.From + i) // it has made the one that is stored
		b = append(append(append(b, "Authorization: Bearer "...), text...), "\r\n"...)
	case kindLogin:
		body := "username=" + userName(i) + "&password=" + l.Password
		b = append(b, "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "...)
		b = append(strconv.AppendInt(b, int64(len(body)), 10), "\r\n\r\n"...)
		return append(b, body...)
	case kindHeader:
		b = append(append(append(b, "Authorization: "...), l.lines[i]...), "\r\n"...)
	case kindBody:
		if l.Header != "" {
			b = append(append(b, l.Header...), "\r\n"...)
		}
		b = append(b, "Content-Length: "...)
		b = append(strconv.AppendInt(b, int64(len(l.lines[i])), 10), "\r\n\r\n"...)
		return append(b, l.lines[i]...)
	default:
		if l.Cookie != "" {
			b = append(append(append(b, "Cookie: "...), l.Cookie...), "\r\n"...)
		}
	}

	return append(b, "\r\n"...)
}

// answer is the head of a response, as far as a load reads it.
type answer struct {
	status int
	size   int  // bytes of head and body together
	last   bool // the server closes the connection
}

var (
	endOfHead = []byte("\r\n\r\n")
	length    = []byte("Content-Length: ")
	closing   = []byte("\r\nConnection: close")
)

// parseAnswer reads a response at the start of b. A size of 0 means that it has not all
// arrived. It reads only what the servers measured here send.
func parseAnswer(b []byte) (answer, error) {
	end := bytes.Index(b, endOfHead)
	if end < 0 {
		return answer{}, nil
	}

	head := b[:end+2]
	if len(head) < 14 || string(head[:7]) != "HTTP/1." {
		return answer{}, errors.New("the answer is not HTTP/1")
	}

	status, err := strconv.Atoi(string(head[9:12]))
	if err != nil {
		return answer{}, fmt.Errorf("status of an answer: %w", err)
	}

	a := answer{status: status, size: end + 4, last: bytes.Contains(head, closing)}
	at := bytes.Index(head, length)
	if at < 0 {
		if status == 204 {
			return a, nil
		}
		return answer{}, fmt.Errorf("an answer without Content-Length: %q", head)
	}

	n := 0
	for _, c := range head[at+len(length):] {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int(c-'0')
	}

	a.size += n
	if len(b) < a.size {
		return answer{}, nil
	}

	return a, nil
}
