// Command undrop lands operational databases in Apache Iceberg under data
// contracts. Everything it does is in package cli and below.
package main

import (
	"os"

	"github.com/undrop/undrop/internal/cli"
)

func main() {
	ctx, stop := cli.Signals(os.Exit)
	code := cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
