package acme

import (
	"context"
	"log/slog"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logger returns a logger of certmagic that writes to log: its steps at level debug, its warnings and errors at
// level warn, since none of them stops the server.
func logger(log *slog.Logger) *zap.Logger { return zap.New(logCore{log: log}) }

// logCore is a zapcore.Core.
type logCore struct {
	log    *slog.Logger
	fields []zapcore.Field // of all its messages
}

func (logCore) level(l zapcore.Level) slog.Level {
	if l < zapcore.WarnLevel {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// Enabled leaves out the messages of level debug, which are for certmagic's developers.
func (c logCore) Enabled(l zapcore.Level) bool {
	return l > zapcore.DebugLevel && c.log.Enabled(context.Background(), c.level(l))
}

// With returns a core whose messages have more fields.
func (c logCore) With(fields []zapcore.Field) zapcore.Core {
	return logCore{c.log, slices.Concat(c.fields, fields)}
}

// Check adds the core to a message that it takes.
func (c logCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !c.Enabled(entry.Level) {
		return checked
	}
	return checked.AddCore(entry, c)
}

// Write writes a message.
func (c logCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	c.log.LogAttrs(
		context.Background(), c.level(entry.Level), "step of an order",
		slog.String("step", entry.Message), slog.Any("details", details(slices.Concat(c.fields, fields))),
	)

	return nil
}

// Sync does nothing: messages are not kept back.
func (logCore) Sync() error { return nil }

// details returns the names and values of fields. They are those of the library, which may change them.
func details(fields []zapcore.Field) map[string]any {
	values := zapcore.NewMapObjectEncoder()
	for _, field := range fields {
		field.AddTo(values)
	}

	return values.Fields
}
