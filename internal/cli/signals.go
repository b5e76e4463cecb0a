package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	undrop "github.com/undrop/undrop"
)

// Signals makes the context that a whole run lives in. The first SIGINT or
// SIGTERM cancels it, so that loops stop taking in work and drain; the second
// means that the person does not want to wait for that: exit is called at once.
// stop gives the signals back and must be called when the run is over.
func Signals(exit func(code int)) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2) // two: the second must not be lost while the first is handled
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-signals:
			cancel()
		case <-over:
			return
		}
		select {
		case <-signals:
			exit(undrop.Interrupted.Exit())
		case <-over:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(over)
		<-done
		cancel()
	}
}
