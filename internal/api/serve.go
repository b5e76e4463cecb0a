package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	undrop "github.com/undrop/undrop"
)

// drain is how long requests may take to end once a server is asked to stop.
const drain = 5 * time.Second

// Listen opens addr (host:port); key is what sets it in undrop.yaml.
func Listen(ctx context.Context, key, addr string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err == nil {
		return l, nil
	}
	hint := key + ": 127.0.0.1:0     # in undrop.yaml: any free port"
	if errors.Is(err, syscall.EADDRINUSE) {
		err = errors.New("another process has this port")
		hint = "undrop status            # is it an undrop that already runs?\n" + hint
	}
	return nil, &undrop.Error{Code: undrop.Failed, Op: fmt.Sprintf("listen on %s (%s)", addr, key), Err: err, Hint: hint}
}

// Serve answers on l until ctx ends, then lets running requests end. It closes l
// and returns nil on a clean stop.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	err := s.Shutdown(wait)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.Close() // a request that does not end may not keep the process
	}
	if serr := <-ended; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	return err
}
