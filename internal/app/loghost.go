package app

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"strings"
)

// anyPort is where the embedded log listens when nobody expects it anywhere.
const anyPort = "127.0.0.1:0"

// logAddress is where the embedded log and registry of an earlier run were. Other
// processes of the installation may still look there, so they come back there.
type logAddress struct {
	Brokers  []string `json:"brokers"`
	Registry string   `json:"registry"`
}

// lastLog reads where the log was; empty when that is not known.
func (a *App) lastLog() (at logAddress) {
	data, err := os.ReadFile(a.addressFile())
	if err != nil || json.Unmarshal(data, &at) != nil {
		return logAddress{} // then any port will do
	}
	return at
}

func (l logAddress) broker() string {
	if len(l.Brokers) == 0 {
		return anyPort
	}
	return whereFree(l.Brokers[0])
}

func (l logAddress) registry() string { return whereFree(strings.TrimPrefix(l.Registry, "http://")) }

// whereFree is an address that can be listened on: the one wanted, unless somebody
// else has taken it.
func whereFree(addr string) string {
	if addr == "" {
		return anyPort
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return anyPort
	}
	_ = l.Close()
	return addr
}
