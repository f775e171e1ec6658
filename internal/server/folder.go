package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// The files in a data folder.
const (
	fileDB      = "jeton.db"
	fileSecret  = "keys.secret"
	fileSocket  = "control.sock"
	fileLock    = "jeton.lock"
	filePID     = "jeton.pid"
	fileNew     = ".new" // behind the name of a file that is not whole yet
	folderMode  = 0o700
	privateMode = 0o600
)

// ErrInUse means that another process holds the data folder.
var ErrInUse = errors.New("the data folder is in use")

// folder is a data folder that this process holds.
type folder struct {
	path string
	lock *flock.Flock
}

// holdFolder makes the folder if it is not there and locks it, so that two processes
// never write one store. The error of a folder that is held names the holder.
func holdFolder(path string) (*folder, error) {
	if path == "" {
		return nil, errors.New("no data folder: name one with --data-dir, JETON_DATA_DIR or data_dir")
	}
	if err := os.MkdirAll(path, folderMode); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}

	lock := flock.New(filepath.Join(path, fileLock), flock.SetPermissions(privateMode))
	held, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock data folder %s: %w (the server must be able to write there)", path, err)
	}

	if !held {
		return nil, fmt.Errorf("%w: process %s holds %s", ErrInUse, holder(path), path)
	}

	pid := []byte(strconv.Itoa(os.Getpid()) + "\n")
	if err := os.WriteFile(filepath.Join(path, filePID), pid, privateMode); err != nil {
		_ = lock.Unlock()
		return nil, fmt.Errorf("data folder: %w", err)
	}

	return &folder{path, lock}, nil
}

func holder(path string) string {
	b, err := os.ReadFile(filepath.Join(path, filePID))
	if err != nil {
		return "(unknown)"
	}
	return strings.TrimSpace(string(b))
}

func (f *folder) release() {
	_ = os.Remove(filepath.Join(f.path, fileSocket))
	_ = os.Remove(filepath.Join(f.path, filePID))
	_ = f.lock.Unlock()
}

func (f *folder) file(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(f.path, name)
}

// socketAddress returns an address for the control socket that fits into the few
// bytes which the system allows. The function it returns ends its use.
func socketAddress(dataDir string) (string, func(), error) {
	path := filepath.Join(dataDir, fileSocket)
	const most = 100
	if len(path) <= most {
		return path, func() {}, nil
	}

	if runtime.GOOS != "linux" {
		return "", nil, fmt.Errorf("the path of the data folder is too long for a socket: %s", path)
	}

	dir, err := os.Open(dataDir)
	if err != nil {
		return "", nil, err
	}

	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), fileSocket), func() { _ = dir.Close() }, nil
}

// DialControl connects to the server that holds the data folder.
func DialControl(ctx context.Context, dataDir string) (net.Conn, error) {
	address, done, err := socketAddress(dataDir)
	if err != nil {
		return nil, err
	}
	defer done()

	var d net.Dialer
	return d.DialContext(ctx, "unix", address)
}

// listenControl opens the control socket for the owner of the data folder alone.
func listenControl(dataDir string) (net.Listener, error) {
	address, done, err := socketAddress(dataDir)
	if err != nil {
		return nil, err
	}
	defer done()

	// A socket left by a killed server answers nobody; the lock is ours, so it is stale.
	if err := os.Remove(filepath.Join(dataDir, fileSocket)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}

	l, err := net.Listen("unix", address)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}

	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := os.Chmod(filepath.Join(dataDir, fileSocket), privateMode); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}

	return l, nil
}

// certLife is how long a certificate of our own making is good for.
const certLife = 397 * 24 * time.Hour

// certificate loads a certificate and key, and makes them when neither is there.
func certificate(certFile, keyFile string, hosts []string, now time.Time) (tls.Certificate, bool, error) {
	made := false
	_, certErr := os.Stat(certFile)
	_, keyErr := os.Stat(keyFile)
	if errors.Is(certErr, fs.ErrNotExist) && keyErr == nil {
		if _, err := tls.LoadX509KeyPair(certFile+fileNew, keyFile); err == nil {
			// A crash came after the key was put in its place and before its certificate was.
			certErr = os.Rename(certFile+fileNew, certFile)
		}
	}

	if errors.Is(certErr, fs.ErrNotExist) && errors.Is(keyErr, fs.ErrNotExist) {
		if err := makeCertificate(certFile, keyFile, hosts, now); err != nil {
			return tls.Certificate{}, false, fmt.Errorf("make certificate: %w", err)
		}
		made = true
	}

	if err := private(keyFile); err != nil {
		return tls.Certificate{}, false, err
	}

	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return pair, made, fmt.Errorf("load certificate %s and key %s: %w", certFile, keyFile, err)
	}

	return pair, made, nil
}

// private refuses a key that others may read.
func private(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("key %s can be read by others (mode %04o): chmod 600 %s", path, info.Mode().Perm(), path)
	}

	return nil
}

// makeCertificate makes a self-signed certificate for the hosts. It is a leaf: a client
// that trusts it trusts this one server and nothing else.
func makeCertificate(certFile, keyFile string, hosts []string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}

	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return err
	}

	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: hosts[0]},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(certLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}

	for _, h := range hosts {
		ip := net.ParseIP(h)
		if ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}

	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return err
	}

	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := writePEM(keyFile+fileNew, "PRIVATE KEY", secret); err != nil {
		return err
	}

	if err := writePEM(certFile+fileNew, "CERTIFICATE", der); err != nil {
		return err
	}
	// A crash between these two leaves a key and what certificate can go on from.
	if err := os.Rename(keyFile+fileNew, keyFile); err != nil {
		return err
	}

	return os.Rename(certFile+fileNew, certFile)
}

// writePEM writes a file and syncs it.
func writePEM(path, kind string, der []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), folderMode); err != nil {
		return err
	}

	tmp, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, privateMode)
	if err != nil {
		return err
	}

	// Not pem.Encode: it passes over some errors, and a full disk would leave half a file.
	if _, err := tmp.Write(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})); err != nil {
		_ = tmp.Close()
		return err
	}

	return errors.Join(tmp.Sync(), tmp.Close())
}
