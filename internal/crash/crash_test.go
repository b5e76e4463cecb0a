package crash

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	if os.Getenv("CRASH_TEST_CHILD") != "" {
		Register("first", "second")
		for range 3 {
			Point("first")
			_, _ = os.Stdout.WriteString("f")
			Point("second")
			_, _ = os.Stdout.WriteString("s")
		}
		return
	}
	os.Exit(m.Run())
}

func TestProcessDiesAtTheNthCallOfThePoint(t *testing.T) {
	for _, c := range []struct {
		arm, out string
		killed   bool
	}{
		{"first", "", true},
		{"second", "f", true},
		{"second:2", "fsf", true},
		{"first:3", "fsfs", true},
		{"first:4", "fsfsfs", false},
		{"", "fsfsfs", false},
	} {
		t.Run("arm "+c.arm, func(t *testing.T) {
			out, err := child(t, c.arm)
			require.Equal(t, c.out, out)
			if !c.killed {
				require.NoError(t, err)
				return
			}
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit)
			status, ok := exit.Sys().(syscall.WaitStatus)
			require.True(t, ok)
			require.Equal(t, syscall.SIGKILL, status.Signal())
		})
	}
}

func TestWrongArmingIsSaidAndNotIgnored(t *testing.T) {
	for _, arm := range []string{"third", "first:0", "first:x"} {
		_, err := child(t, arm)
		var exit *exec.ExitError
		require.True(t, errors.As(err, &exit), arm)
		require.Equal(t, 2, exit.ExitCode(), arm)
		require.Contains(t, string(exit.Stderr), Env+"="+strings.Split(arm, ":")[0])
	}
}

func TestNamesAreSortedAndUnique(t *testing.T) {
	Register("b", "a", "b")
	require.Equal(t, []string{"a", "b"}, Names())
}

func BenchmarkPointWhenNothingIsArmed(b *testing.B) {
	for range b.N {
		Point("first")
	}
}

func child(t *testing.T, arm string) (string, error) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "CRASH_TEST_CHILD=1", Env+"="+arm)
	out, err := cmd.Output()
	return string(out), err
}
