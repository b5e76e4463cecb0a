package cli

import (
	"context"
	"errors"

	"github.com/undrop/undrop/internal/app"
	"github.com/undrop/undrop/internal/config"
)

// withApp reads the configuration named by -f, opens the installation, lets f use
// it and closes it.
func (e *Env) withApp(ctx context.Context, f func(context.Context, *app.App) error) error {
	cfg, err := config.Load(e.File)
	if err != nil {
		return err
	}
	a, err := app.Open(ctx, cfg, e.Log)
	if err != nil {
		return err
	}
	return errors.Join(f(ctx, a), a.Close())
}
