package api

import (
	"mime"
	"net"
	"net/http"
	"net/netip"
)

// guard keeps web pages away. A page in a browser on this machine can reach a
// loopback address: it may not post to us from another origin, and it may not
// read from us by giving its own host name our address.
func (s *server) guard(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.answer(w, http.StatusForbidden, failed(Failure{Code: "refused", Message: "the request comes from another web site"}))
	}))
	return cross.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hostFits(r) {
			s.answer(w, http.StatusForbidden, failed(Failure{Code: "refused", Message: "this address is served under localhost or its number only",
				Hint: "curl http://127.0.0.1:8080" + r.URL.Path}))
			return
		}
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); r.Method == http.MethodPost && (err != nil || kind != "application/json") {
			s.answer(w, http.StatusUnsupportedMediaType, failed(Failure{Code: "invalid", Message: "the request must be JSON",
				Hint: "curl -H 'Content-Type: application/json' …"}))
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// hostFits reports whether the Host header may name us: on a loopback address
// only as localhost or as a number, elsewhere under any name.
func hostFits(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return true
	}
	at, err := netip.ParseAddrPort(local.String())
	if err != nil || !at.Addr().IsLoopback() {
		return true
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "localhost" {
		return true
	}
	_, err = netip.ParseAddr(trimBrackets(host))
	return err == nil
}

func trimBrackets(host string) string {
	if n := len(host); n > 1 && host[0] == '[' && host[n-1] == ']' {
		return host[1 : n-1]
	}
	return host
}
