package password

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The server and its hasher exchange frames: a length of four bytes, then the content. A
// response has the id of its request, so that responses may come in any order. The first
// frame is the greeting of the hasher.
//
//	request:  id 8 | memory 4 | passes 4 | lanes 1 | key length 1 | salt length 1 |
//	          imported length 2 | salt | imported | password
//	response: id 8 | status 1 | key | with an imported hash: verdict 1
//	greeting: id 8, always 0 | version 1 | a line for the log, may be empty
const (
	frameVersion = 2
	maxFrame     = 4 << 10 // bytes, without the length
	requestHead  = 8 + 4 + 4 + 1 + 1 + 1 + 2
	responseHead = 8 + 1

	statusKey     = 0 // the key follows
	statusRefused = 1 // the request is outside the bounds
)

// request asks for the key of a password and, where it holds an imported hash, whether that
// is the hash of the password. The password is wiped after use.
type request struct {
	id       uint64
	hash     Hash // its key is only a length
	imported string
	pw       []byte
}

// response is also the greeting.
type response struct {
	id     uint64
	status byte
	body   []byte
}

// appendRequest adds the frame of a request to b.
func appendRequest(b []byte, id uint64, h Hash, imported, pw string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(requestHead+len(h.salt)+len(imported)+len(pw)))
	b = binary.BigEndian.AppendUint64(b, id)
	b = binary.BigEndian.AppendUint32(b, h.MemoryKiB)
	b = binary.BigEndian.AppendUint32(b, h.Passes)
	b = append(b, h.Lanes, byte(len(h.key)), byte(len(h.salt)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(imported)))
	b = append(b, h.salt...)
	b = append(b, imported...)

	return append(b, pw...)
}

// readRequest reads one request. It does not check the bounds.
func readRequest(r io.Reader) (request, error) {
	b, err := readFrame(r)
	if err != nil {
		return request{}, err
	}

	// The lengths inside are checked against the frame, as no later step checks slices.
	if len(b) < requestHead || len(b) < requestHead+int(b[18])+int(binary.BigEndian.Uint16(b[19:])) {
		clear(b)
		return request{}, errors.New("request is cut short")
	}

	salt := requestHead + int(b[18])
	imported := salt + int(binary.BigEndian.Uint16(b[19:]))

	return request{
		id: binary.BigEndian.Uint64(b),
		hash: Hash{
			Params: Params{binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[12:]), b[16]},
			salt:   b[requestHead:salt],
			key:    make([]byte, b[17]),
		},
		imported: string(b[salt:imported]),
		pw:       b[imported:],
	}, nil
}

// check returns an error when the requested work is out of bounds: a faulty server must
// not make the hasher exceed them.
func (r request) check() error {
	salt, key := len(r.hash.salt), len(r.hash.key)
	if salt < minSalt || salt > maxSalt {
		return fmt.Errorf("salt of %d bytes", salt)
	}
	if key < minKey || key > maxKey {
		return fmt.Errorf("key of %d bytes", key)
	}
	if len(r.pw) > Max {
		return fmt.Errorf("password of %d bytes", len(r.pw))
	}

	// Parsing checks the cost that the imported hash names.
	if r.imported != "" {
		if _, err := parseImported(r.imported); err != nil {
			return err
		}
	}

	return r.hash.check()
}

// writeResponse writes a frame: length, id of the request, status, body. Numbers are
// big-endian.
func writeResponse(w io.Writer, r response) error {
	b := binary.BigEndian.AppendUint32(nil, uint32(responseHead+len(r.body)))
	b = binary.BigEndian.AppendUint64(b, r.id)
	b = append(append(b, r.status), r.body...)
	_, err := w.Write(b)
	return err
}

// readResponse reads what writeResponse wrote.
func readResponse(r io.Reader) (response, error) {
	b, err := readFrame(r)
	if err != nil {
		return response{}, err
	}
	if len(b) < responseHead {
		return response{}, errors.New("answer is cut short")
	}

	return response{binary.BigEndian.Uint64(b), b[8], b[responseHead:]}, nil
}

// readFrame returns io.EOF only when r ends between two frames.
func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}

	n := binary.BigEndian.Uint32(head[:])
	// Before the allocation: four bytes must not reserve 4 GiB.
	if n > maxFrame {
		return nil, fmt.Errorf("frame of %d bytes; at most %d are read", n, maxFrame)
	}

	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("read frame: %w", noEOF(err))
	}

	return b, nil
}

// noEOF makes an end in the middle of a frame an error: io.EOF alone means that the other
// side has finished.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
