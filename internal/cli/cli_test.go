package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"

	undrop "github.com/undrop/undrop"
)

// failing runs a command that fails with err, through everything that Run does
// with an error.
func failing(ctx context.Context, err error, json bool) (code int, stderr string) {
	var out bytes.Buffer
	env := newEnv(nil, nil, &out)
	env.JSON = json
	code = env.fail(ctx, err)
	return code, out.String()
}

func TestErrorsSayWhatToTryAndDecideTheExitCode(t *testing.T) {
	stopped, stop := context.WithCancel(context.Background())
	stop()
	refused := &undrop.Error{Code: undrop.Refused, Op: "drop slot", Err: errors.New("it is active"), Hint: "select 1;\nselect 2;"}
	for name, tc := range map[string]struct {
		ctx  context.Context
		err  error
		code int
		text string
	}{
		"plain":          {context.Background(), errors.New("disk full"), 1, "error: disk full\n"},
		"with a hint":    {context.Background(), refused, 3, "error: drop slot: it is active\ntry: select 1;\n     select 2;\n"},
		"wrapped":        {context.Background(), fmt.Errorf("apply: %w", refused), 3, "error: apply: drop slot: it is active\ntry: select 1;\n     select 2;\n"},
		"joined, alone":  {context.Background(), errors.Join(refused, nil), 3, "error: drop slot: it is active\ntry: select 1;\n     select 2;\n"},
		"hint is deeper": {context.Background(), &undrop.Error{Code: undrop.Unknown, Op: "commit", Err: refused}, 5, "error: commit: drop slot: it is active\ntry: select 1;\n     select 2;\n"},
		"interrupted":    {stopped, fmt.Errorf("copy: %w", context.Canceled), 130, "error: interrupted\n"},
		"not by a signal": {context.Background(), fmt.Errorf("copy: %w", context.Canceled), 1,
			"error: copy: context canceled\n"},
		"failed while stopping": {stopped, errors.New("disk full"), 1, "error: disk full\n"},
	} {
		if code, text := failing(tc.ctx, tc.err, false); code != tc.code || text != tc.text {
			t.Errorf("%s: got %d %q, want %d %q", name, code, text, tc.code, tc.text)
		}
	}
	want := `{"error":{"code":"refused","op":"drop slot","message":"it is active","hint":"select 1;\nselect 2;"}}` + "\n"
	if _, text := failing(context.Background(), refused, true); text != want {
		t.Errorf("got %s want %s", text, want)
	}
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	env := newEnv(nil, nil, nil)
	root := rootCommand(env)
	root.AddCommand(commands(env)...)
	eachCommand(root, func(c *cobra.Command) {
		if c.Name() == "help" {
			return
		}
		if c.Short == "" || c.Example == "" || c.RunE == nil {
			t.Errorf("%s: has no short help, no example, or no RunE", c.CommandPath())
		}
		for _, line := range strings.Split(c.Example, "\n") {
			if !strings.HasPrefix(line, "  ") || !strings.Contains(line, "undrop ") {
				t.Errorf("%s: example %q is not a command", c.CommandPath(), line)
			}
		}
	})
}

func TestSignals(t *testing.T) {
	exited := make(chan int, 1)
	ctx, stop := Signals(func(code int) { exited <- code })
	defer stop()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	select {
	case <-exited:
		t.Fatal("the first signal ends the process")
	default:
	}
	if err := self.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := <-exited; code != 130 {
		t.Errorf("the second signal exits with %d, want 130", code)
	}
}

func TestProgressLineAndLogDoNotTearEachOther(t *testing.T) {
	var screen bytes.Buffer
	p := newProgress(&screen)
	p.Set("hidden")
	if screen.Len() > 0 || p.Shown() {
		t.Error("a line is drawn where there is no terminal")
	}
	p.width = func() int { return 10 }
	p.Set("%d rows and more", 1)
	fmt.Fprint(p, "log\n")
	p.Done()
	fmt.Fprint(p, "end\n")
	want := "\r\x1b[K1 rows a…" + "\r\x1b[Klog\n1 rows a…" + "\r\x1b[K" + "end\n"
	if screen.String() != want {
		t.Errorf("got %q, want %q", screen.String(), want)
	}
}
