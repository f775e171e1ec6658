package wallet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"filippo.io/age"
	"github.com/gofrs/flock"

	"github.com/jeton-auth/jeton"
)

const (
	fileName = "wallet.age"
	lockName = "wallet.lock"
	tempName = "wallet.age.new"

	maxFile  = 16 << 20         // bytes of wallet.age
	lockWait = 30 * time.Second // if the caller set no deadline
	// lockPoll is how often a writer tries again: a file lock cannot be waited for with a deadline.
	lockPoll = 5 * time.Millisecond
)

// Errors of a wallet that cannot be read. None of them changes the file.
var (
	// ErrCorrupt means that wallet.age is damaged or truncated.
	ErrCorrupt = errors.New("wallet is damaged")
	// ErrNewer means that a newer program has written the wallet.
	ErrNewer = errors.New("wallet was written by a newer program")
	// ErrKey means that the key does not decrypt the wallet, or is missing.
	ErrKey = errors.New("the key does not decrypt the wallet")
	// ErrExposed means that other users can open a file or directory. The text names the
	// command that fixes it.
	ErrExposed = errors.New("other users can open it")
)

// file is wallet.age. It is safe for concurrent use by goroutines and processes. Readers see
// a complete document, because it is replaced by rename. Writers take turns under
// wallet.lock, and each sees what the previous one wrote.
type file struct {
	dir  string
	keys *keys
	now  func() time.Time
	turn chan struct{} // queues the writers of this process, which need not poll the lock file

	mu    sync.Mutex
	crypt []byte // the last wallet.age that was read or written …
	plain []byte // … and its content, cached because scrypt is slow on purpose
}

// read returns the current document; a missing file is an empty document.
func (f *file) read(ctx context.Context) (document, error) {
	d, _, err := f.load(ctx)
	return d, err
}

// change lets edit modify the document and makes the result durable. It writes nothing if
// edit fails or changes nothing. Afterwards the document that edit got has the revision of
// the file.
func (f *file) change(ctx context.Context, edit func(*document) error) error {
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return fmt.Errorf("wait for the wallet: %w", ctx.Err())
	}

	unlock, err := f.lock(ctx, lockName)
	if err != nil {
		return err
	}
	defer unlock()

	// Read under the lock: an earlier read may miss what another process wrote.
	d, before, err := f.load(ctx)
	if err != nil {
		return err
	}
	if err := edit(&d); err != nil {
		return err
	}

	after, err := encode(d)
	if err != nil {
		return fmt.Errorf("encode wallet: %w", err)
	}
	// Encrypting with a passphrase costs tens of milliseconds, and a write costs a sync.
	if bytes.Equal(before, after) {
		return nil
	}

	// Not just one more: a new wallet must count on from a deleted one.
	d.Revision = max(d.Revision+1, f.now().UnixMilli())
	if after, err = encode(d); err != nil {
		return fmt.Errorf("encode wallet: %w", err)
	}

	return f.store(ctx, after, before == nil)
}

// load returns the document and the text it was parsed from: nil if there is none.
func (f *file) load(ctx context.Context) (document, []byte, error) {
	if err := checkDir(f.dir); err != nil {
		return document{}, nil, err
	}

	path := filepath.Join(f.dir, fileName)
	crypt, err := readPrivate(path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return document{Version: version}, nil, nil
	}

	if err != nil {
		return document{}, nil, fmt.Errorf("read wallet: %w", err)
	}

	plain, err := f.open(ctx, crypt)
	if err != nil {
		return document{}, nil, fmt.Errorf("read wallet %s: %w", path, err)
	}

	d, err := decode(plain)
	if err != nil {
		return document{}, nil, fmt.Errorf("read wallet %s: %w", path, err)
	}

	return d, plain, nil
}

// open decrypts the file, unless the bytes are those of the last time.
func (f *file) open(ctx context.Context, crypt []byte) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	if f.crypt != nil && bytes.Equal(f.crypt, crypt) {
		return f.plain, nil
	}
	if !bytes.HasPrefix(crypt, []byte("age-encryption.org/v1\n")) {
		return nil, fmt.Errorf(
			"%w: not an age file; restore it from a backup, or move it away and log in again",
			ErrCorrupt,
		)
	}

	key, err := f.keys.get(ctx, false)
	if err != nil {
		return nil, err
	}

	r, err := age.Decrypt(bytes.NewReader(crypt), key.identity)
	none := new(age.NoIdentityMatchError)
	// Forgotten, so that a mistyped passphrase is asked for again.
	if errors.As(err, &none) {
		f.keys.forget()
		return nil, fmt.Errorf("%w (%s)", ErrKey, f.keys.where())
	}

	if err == nil {
		var plain []byte
		if plain, err = io.ReadAll(r); err == nil {
			f.crypt, f.plain = crypt, plain
			return plain, nil
		}
	}

	// The error of age names a position, never the content.
	return nil, fmt.Errorf("%w: restore it from a backup, or move it away and log in again: %w", ErrCorrupt, err)
}

// store writes text as the document. The caller holds the lock.
func (f *file) store(ctx context.Context, text []byte, first bool) error {
	key, err := f.keys.get(ctx, first)
	if err != nil {
		return err
	}

	var crypt bytes.Buffer
	w, err := age.Encrypt(&crypt, key.recipient)
	if err != nil {
		return fmt.Errorf("encrypt wallet: %w", err)
	}

	if _, err := w.Write(text); err != nil {
		return fmt.Errorf("encrypt wallet: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("encrypt wallet: %w", err)
	}
	if crypt.Len() > maxFile {
		return jeton.WithDetail(jeton.ErrTooLarge, "the wallet would be over 16 MiB; remove some identities")
	}

	if err := replace(f.dir, tempName, fileName, crypt.Bytes()); err != nil {
		return fmt.Errorf("write wallet: %w", err)
	}

	f.mu.Lock()
	// Only after the rename: what is cached must be what is in the file.
	f.crypt, f.plain = crypt.Bytes(), text
	f.mu.Unlock()

	return nil
}

// lock takes the named lock file and returns the function that unlocks it.
func (f *file) lock(ctx context.Context, name string) (func(), error) {
	if err := makeDir(f.dir); err != nil {
		return nil, err
	}

	// A process that hangs with the lock must not block every other one for good.
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, lockWait)
		defer cancel()
	}

	// The lock file is never deleted: another process could hold a lock on the deleted one.
	path := filepath.Join(f.dir, name)
	l := flock.New(path, flock.SetPermissions(0o600))
	if _, err := l.TryLockContext(ctx, lockPoll); err != nil {
		return nil, fmt.Errorf("wait for lock %s, which another process may hold: %w", path, err)
	}

	return func() { _ = l.Unlock() }, nil
}

// replace atomically and durably replaces the file name in dir: after a crash it is the old
// or the new file, complete.
func replace(dir, temp, name string, text []byte) error {
	from := filepath.Join(dir, temp)
	// A crash may have left it: the next step creates the file and never opens an existing
	// one.
	if err := os.Remove(from); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeNew(from, text); err != nil {
		return err
	}

	if err := os.Rename(from, filepath.Join(dir, name)); err != nil {
		_ = os.Remove(from)
		return err
	}

	return syncDir(dir)
}

// writeNew creates a file that only its owner can open, and syncs it.
func writeNew(path string, text []byte) error {
	// O_EXCL follows no link, and 0600 holds from the start.
	w, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}

	_, err = w.Write(text)
	if err == nil {
		err = w.Sync()
	}
	if err = errors.Join(err, w.Close()); err != nil {
		_ = os.Remove(path)
	}

	return err
}

// readPrivate reads a file of at most limit bytes that belongs to the user and that no other
// user can open.
func readPrivate(path string, limit int64) ([]byte, error) {
	return readRegular(path, limit, func(info fs.FileInfo) error { return private(path, info, 0o600) })
}

// readRegular reads a regular file of at most limit bytes that check accepts.
func readRegular(path string, limit int64, check func(fs.FileInfo) error) ([]byte, error) {
	r, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()

	// Of the open file and not of the path, which may be replaced in between.
	info, err := r.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, jeton.WithDetail(jeton.ErrInvalid, path+" is not a regular file")
	}

	if err := check(info); err != nil {
		return nil, err
	}

	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, jeton.WithDetail(jeton.ErrTooLarge, fmt.Sprintf("%s is over %d bytes", path, limit))
	}

	return text, nil
}

// makeDir creates a directory that only its owner can open, unless it exists.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create wallet directory: %w", err)
	}
	return checkDir(dir)
}

// checkDir refuses a directory that other users can open. A missing one is accepted.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("check wallet directory: %w", err)
	}

	if !info.IsDir() {
		return jeton.WithDetail(jeton.ErrInvalid, dir+" is not a directory")
	}

	return private(dir, info, 0o700)
}
