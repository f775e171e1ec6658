package gateway

import "sync"

// bufferSize is that of io.Copy.
const bufferSize = 32 << 10

// buffers has the buffers through which bodies are copied. Without it, each response would allocate one. It is safe for
// concurrent use.
type buffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	buffer, ok := b.pool.Get().(*[bufferSize]byte)
	if !ok {
		buffer = new([bufferSize]byte)
	}

	return buffer[:]
}

// Put implements httputil.BufferPool. A pointer to an array goes into the pool: a slice would be allocated again.
func (b *buffers) Put(buffer []byte) { b.pool.Put((*[bufferSize]byte)(buffer)) }
