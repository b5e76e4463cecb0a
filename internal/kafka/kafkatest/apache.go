package kafkatest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/undrop/undrop/internal/kafka"
)

// ApacheVersion is the Apache Kafka that StartApache runs.
const ApacheVersion = "4.3.1"

// Env names a broker to test against instead of starting one: host:port.
const Env = "UNDROP_TEST_KAFKA"

// Apache is a running Apache Kafka.
type Apache struct {
	Config kafka.Config
	Dir    string // its log and output.txt
	cmd    *exec.Cmd
	ended  chan struct{} // closed when cmd has ended
}

// Kafka finds the broker that UNDROP_TEST_KAFKA names, or starts Apache Kafka.
func Kafka(t testing.TB) kafka.Config {
	t.Helper()
	if addr := os.Getenv(Env); addr != "" {
		return kafka.Config{Brokers: strings.Split(addr, ",")}
	}
	return StartApache(t).Config
}

// StartApache runs one broker of Apache Kafka on free ports until the test ends.
// It comes from Maven's repository into a cache that is kept. The test is
// skipped, by name, where Maven or Java cannot be had.
func StartApache(t testing.TB) *Apache {
	t.Helper()
	lib := jars(t)
	a := &Apache{Dir: t.TempDir()}
	t.Cleanup(a.Stop)
	// A port that is free now may be taken before the broker listens: then it
	// says so and ends, and other ports are tried.
	for try := range 5 {
		if a.start(t, lib) {
			return a
		}
		t.Logf("Apache Kafka did not come up (try %d)", try+1)
	}
	out, _ := os.ReadFile(filepath.Join(a.Dir, "output.txt"))
	t.Fatalf("Apache Kafka does not start; the end of its output:\n%s", out[max(0, len(out)-4000):])
	return nil
}

// Stop ends the broker at once, as kill -9 does. It may be called twice.
func (a *Apache) Stop() {
	if a.cmd != nil {
		_ = a.cmd.Process.Kill()
		<-a.ended
	}
}

// Restart starts the broker on its old log and port.
func (a *Apache) Restart(t testing.TB) {
	t.Helper()
	a.run(t, jars(t))
	require.True(t, a.answers(t), "Apache Kafka does not come up again")
}

const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>org.undrop.test</groupId><artifactId>kafka</artifactId><version>1</version>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>` + ApacheVersion + `</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.1</version></dependency>
</dependencies></project>
`

// missing skips by name, or fails where every engine must be there.
func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("UNDROP_ENGINES") == "required" {
		t.Fatalf("UNDROP_ENGINES=required: "+format, args...)
	}
	t.Skipf("SKIPPED: "+format, args...)
}

// jars gives the folder with Apache Kafka's jars, fetched once.
func jars(t testing.TB) string {
	t.Helper()
	for _, program := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(program); err != nil {
			missing(t, "Apache Kafka %s needs %s, which is not installed; or set %s=host:port", ApacheVersion, program, Env)
		}
	}
	root := os.Getenv("UNDROP_ENGINES")
	if root == "" || root == "required" { // a word that other engines know: no folder
		cache, err := os.UserCacheDir()
		if err != nil {
			missing(t, "Apache Kafka %s needs a cache directory: %v; set UNDROP_ENGINES", ApacheVersion, err)
		}
		root = filepath.Join(cache, "undrop-engines")
	}
	lib := filepath.Join(root, "kafka-"+ApacheVersion)
	if _, err := os.Stat(lib); err == nil {
		return lib
	}
	require.NoError(t, os.MkdirAll(root, 0o755))
	work, err := os.MkdirTemp(root, "fetch-")
	require.NoError(t, err)
	defer func() { _ = os.RemoveAll(work) }()
	require.NoError(t, os.WriteFile(filepath.Join(work, "pom.xml"), []byte(pom), 0o644))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=lib")
	cmd.Dir = work
	if out, err := cmd.CombinedOutput(); err != nil {
		missing(t, "Apache Kafka %s cannot be had from Maven: %v\n%s", ApacheVersion, err, out[max(0, len(out)-1000):])
	}
	// Whole or not at all: another test may fetch the same at this moment.
	if err := os.Rename(filepath.Join(work, "lib"), lib); err != nil {
		_, err = os.Stat(lib)
		require.NoError(t, err)
	}
	return lib
}

// start formats a log and starts the broker on new ports.
func (a *Apache) start(t testing.TB, lib string) bool {
	t.Helper()
	ports := freePorts(t, 2)
	a.Config = kafka.Config{Brokers: []string{"127.0.0.1:" + ports[0]}}
	properties := strings.Join([]string{
		"process.roles=broker,controller", "node.id=1", "controller.quorum.voters=1@127.0.0.1:" + ports[1],
		"listeners=PLAINTEXT://127.0.0.1:" + ports[0] + ",CONTROLLER://127.0.0.1:" + ports[1],
		"advertised.listeners=PLAINTEXT://127.0.0.1:" + ports[0],
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"controller.listener.names=CONTROLLER", "inter.broker.listener.name=PLAINTEXT",
		"log.dirs=" + filepath.Join(a.Dir, "log"), "auto.create.topics.enable=false",
		"offsets.topic.num.partitions=1", "offsets.topic.replication.factor=1",
		"transaction.state.log.num.partitions=1", "transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1",
		"share.coordinator.state.topic.replication.factor=1", "share.coordinator.state.topic.min.isr=1",
		"group.initial.rebalance.delay.ms=0", "log.cleaner.dedupe.buffer.size=4194304", "",
	}, "\n")
	log4j := "rootLogger.level = warn\nrootLogger.appenderRef.out.ref = out\nappender.out.type = Console\nappender.out.name = out\nappender.out.layout.type = PatternLayout\nappender.out.layout.pattern = %d %p %c %m%n\n"
	require.NoError(t, os.WriteFile(filepath.Join(a.Dir, "server.properties"), []byte(properties), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(a.Dir, "log4j2.properties"), []byte(log4j), 0o644))
	require.NoError(t, os.RemoveAll(filepath.Join(a.Dir, "log")))
	out, err := java(a.Dir, lib, "kafka.tools.StorageTool", "format", "-t", "dW5kcm9wIHRlc3QgMTIzNA", "-c", "server.properties").CombinedOutput()
	require.NoError(t, err, string(out))
	a.run(t, lib)
	return a.answers(t)
}

// run starts the process.
func (a *Apache) run(t testing.TB, lib string) {
	t.Helper()
	out, err := os.OpenFile(filepath.Join(a.Dir, "output.txt"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	require.NoError(t, err)
	defer out.Close()
	a.cmd = java(a.Dir, lib, "kafka.Kafka", "server.properties")
	a.cmd.Stdout, a.cmd.Stderr = out, out
	dieWithParent(a.cmd)
	require.NoError(t, a.cmd.Start())
	ended := make(chan struct{})
	a.ended = ended
	go func(cmd *exec.Cmd) {
		defer close(ended)
		_ = cmd.Wait()
	}(a.cmd)
}

func java(dir, lib string, args ...string) *exec.Cmd {
	//nolint:noctx // it outlives the call, and is stopped by pid
	cmd := exec.Command("java", append([]string{"-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.configurationFile=log4j2.properties", "-cp", lib + "/*"}, args...)...)
	cmd.Dir = dir
	return cmd
}

// answers waits until the broker answers a client, or has ended.
func (a *Apache) answers(t testing.TB) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := kafka.Dial(ctx, a.Config)
		if err == nil {
			c.Close()
			return true
		}
		select {
		case <-tick.C:
		case <-a.ended:
			return false
		case <-ctx.Done():
			a.Stop()
			return false
		}
	}
}

// freePorts finds ports that nobody listens on now.
func freePorts(t testing.TB, n int) []string {
	t.Helper()
	var ports []string
	for range n {
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { _ = l.Close() }()
		ports = append(ports, fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
	}
	return ports
}
