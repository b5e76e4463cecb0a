package kafka_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kversion"

	undrop "github.com/undrop/undrop"
	"github.com/undrop/undrop/internal/kafka"
	"github.com/undrop/undrop/internal/kafka/kafkatest"
)

func TestDialSaysWhatIsWrong(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed := l.Addr().String()
	l.Close()
	old, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.MaxVersions(kversion.V2_7_0()))
	require.NoError(t, err)
	defer old.Close()
	dir := t.TempDir()
	noPEM := filepath.Join(dir, "ca.pem")
	require.NoError(t, os.WriteFile(noPEM, []byte("hello"), 0o600))
	there := []string{closed}
	for _, c := range []struct {
		name string
		cfg  kafka.Config
		code undrop.Code
		says string
	}{
		{"no broker", kafka.Config{}, undrop.BadInput, "no broker is named"},
		{"nobody there", kafka.Config{Brokers: there}, undrop.Failed, "refused"},
		{"too old", kafka.Config{Brokers: old.ListenAddrs()}, undrop.Refused, "topic ids"},
		{"no such authority", kafka.Config{Brokers: there, TLS: &kafka.TLS{CA: filepath.Join(dir, "none")}}, undrop.BadInput, "tls.ca"},
		{"no certificate", kafka.Config{Brokers: there, TLS: &kafka.TLS{CA: noPEM}}, undrop.BadInput, "PEM"},
		{"half a pair", kafka.Config{Brokers: there, TLS: &kafka.TLS{Cert: noPEM}}, undrop.BadInput, "tls.key"},
		{"no pair", kafka.Config{Brokers: there, TLS: &kafka.TLS{Cert: noPEM, Key: noPEM}}, undrop.BadInput, "tls.cert"},
		{"no mechanism", kafka.Config{Brokers: there, SASL: &kafka.SASL{Mechanism: "GSSAPI", Username: "u", Password: "p"}}, undrop.BadInput, "SCRAM-SHA-512"},
		{"no password", kafka.Config{Brokers: there, SASL: &kafka.SASL{Mechanism: "PLAIN", Username: "u"}}, undrop.BadInput, "sasl.password"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := kafka.Dial(kafkatest.Context(t), c.cfg)
			var e *undrop.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.code, e.Code, err)
			require.ErrorContains(t, err, c.says)
			require.NotEmpty(t, e.Hint)
		})
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts and never answers
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = kafka.Dial(ctx, kafka.Config{Brokers: []string{l.Addr().String()}})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// certificate makes one that signs itself, and its PEM file.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

func TestEncryptedAndAuthenticatedClusterIsReached(t *testing.T) {
	cert, ca := certificate(t)
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser(mechanism, "me", "secret"),
				kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}}))
			require.NoError(t, err)
			defer cluster.Close()
			cfg := kafka.Config{Brokers: cluster.ListenAddrs(), TLS: &kafka.TLS{CA: ca}, SASL: &kafka.SASL{Mechanism: mechanism, Username: "me", Password: "secret"}}
			c := kafkatest.Dial(t, cfg)
			_, err = c.EnsureTopic(t.Context(), "t", 1, kafka.TopicOptions{})
			require.NoError(t, err)
			write(t, c, "t", 3, 10)
			rs, err := c.ReadAll(kafkatest.Context(t), "t")
			require.NoError(t, err)
			require.Len(t, rs, 3)

			cfg.TLS = &kafka.TLS{}
			_, err = kafka.Dial(kafkatest.Context(t), cfg)
			require.ErrorContains(t, err, "certificate", "an unknown authority is not trusted")
			cfg.TLS = &kafka.TLS{InsecureSkipVerify: true}
			kafkatest.Dial(t, cfg)
			cfg.SASL.Password = "wrong"
			_, err = kafka.Dial(kafkatest.Context(t), cfg)
			require.Equal(t, undrop.Failed, undrop.CodeOf(err))
			require.NotContains(t, err.Error(), "wrong")
		})
	}
}
