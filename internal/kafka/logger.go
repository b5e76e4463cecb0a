package kafka

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// logger gives franz-go's messages to slog. What the library calls info is
// debug to us: it narrates every connection.
type logger struct{ to *slog.Logger }

// Level is the most talkative level that somebody listens to.
func (l logger) Level() kgo.LogLevel {
	ctx := context.Background()
	switch {
	case l.to.Enabled(ctx, slog.LevelDebug):
		return kgo.LogLevelInfo
	case l.to.Enabled(ctx, slog.LevelWarn):
		return kgo.LogLevelWarn
	case l.to.Enabled(ctx, slog.LevelError):
		return kgo.LogLevelError
	default:
		return kgo.LogLevelNone
	}
}

// Log writes one message.
func (l logger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	l.to.Log(context.Background(), slogLevel(int(level)), "kafka: "+msg, keyvals...)
}

// brokerLogger does the same for the embedded broker.
type brokerLogger struct{ to *slog.Logger }

// Logf writes one message. Only warnings and errors are of use to a person.
func (l brokerLogger) Logf(level kfake.LogLevel, msg string, args ...any) {
	s := slogLevel(int(level))
	if s >= slog.LevelWarn {
		l.to.Log(context.Background(), s, "embedded log: "+fmt.Sprintf(msg, args...))
	}
}

// slogLevel maps the levels that both libraries number alike: 1 error, 2 warn,
// 3 info, 4 debug.
func slogLevel(n int) slog.Level {
	switch n {
	case 1:
		return slog.LevelError
	case 2:
		return slog.LevelWarn
	default:
		return slog.LevelDebug
	}
}
