package encrypted_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// needProgram skips the test where there is no such program, and fails it where NETSTREAM_REQUIRE_PEERS=1 says that there
// must be one.
func needProgram(t *testing.T, name string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("openssl may be LibreSSL there, and curl stand on Schannel, which take other options")
	}
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("NETSTREAM_REQUIRE_PEERS") == "1" {
			t.Fatalf("%s is missing and NETSTREAM_REQUIRE_PEERS=1 asks for it (Debian: %[1]s)", name)
		}
		t.Skipf("%s is missing, so there is no other TLS to talk to (Debian: %[1]s)", name)
	}
}

// pemFiles writes the server's certificate and key.
func pemFiles(t *testing.T) (certificate, key string) {
	t.Helper()
	_, server := kit.TLSConfigs()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	der, err := x509.MarshalPKCS8PrivateKey(server.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return write("certificate.pem", "CERTIFICATE", server.Certificates[0].Certificate[0]), write("key.pem", "PRIVATE KEY", der)
}

// TestOpenSSLClient has openssl s_client send and receive, ask for KeyUpdates ("K": of both sides), and end.
func TestOpenSSLClient(t *testing.T) {
	needProgram(t, "openssl")
	for _, version := range []string{"-tls1_3", "-tls1_2"} {
		t.Run(version, func(t *testing.T) {
			l := listenTLS(t, nil)
			go echoStreams(l)
			cmd := exec.Command("openssl", "s_client", "-connect", l.Addr().String(), version, "-nocommands", "-quiet", "-no_ign_eof")
			if version == "-tls1_3" {
				cmd = exec.Command("openssl", "s_client", "-connect", l.Addr().String(), version, "-brief")
			}
			in, out := startProgram(t, cmd)
			for i := range 5 {
				if version == "-tls1_3" {
					fmt.Fprintln(in, "K") // a KeyUpdate that asks for ours; what comes with that line is lost
					awaitLine(t, out, "KEYUPDATE")
				}
				line := fmt.Sprintf("message %d", i)
				fmt.Fprintln(in, line)
				awaitLine(t, out, line)
			}
			in.Close()
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestOpenSSLServer has openssl s_server at the other end.
func TestOpenSSLServer(t *testing.T) {
	needProgram(t, "openssl")
	certificate, key := pemFiles(t)
	clientConfig, _ := kit.TLSConfigs()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			address := freeAddress(t)
			cmd := exec.Command("openssl", "s_server", "-accept", address, "-cert", certificate, "-key", key, "-rev", "-naccept", "1")
			in, _ := startProgram(t, cmd)
			defer in.Close()
			config := clientConfig.Clone()
			config.MaxVersion = version
			s := dialSoon(t, address, &netstream.Config{TLS: config})
			defer s.Close()
			if s.SslProtocol() != version {
				t.Error(s.SslProtocol())
			}
			lines := bufio.NewReader(s)
			for i := range 5 {
				ar, err := s.BeginWrite(fmt.Appendf(nil, "%d olleh\n", i), 0, 8, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.EndWrite(ar); err != nil {
					t.Fatal(err)
				}
				if line, err := lines.ReadString('\n'); err != nil || line != fmt.Sprintf("hello %d\n", i) {
					t.Fatalf("%q, %v", line, err)
				}
			}
		})
	}
}

func startProgram(t *testing.T, cmd *exec.Cmd) (in io.WriteCloser, out *bufio.Reader) {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(kit.Patience, func() { cmd.Process.Kill() })
	t.Cleanup(func() {
		kill.Stop()
		cmd.Process.Kill()
		cmd.Wait()
	})
	return in, bufio.NewReader(pipe)
}

// awaitLine skips what comes before the line.
func awaitLine(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("%q, %v", line, err)
		}
		if strings.TrimSpace(line) == want {
			return
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// dialSoon dials until somebody listens.
func dialSoon(t *testing.T, address string, cfg *netstream.Config) (s *netstream.NetworkStream) {
	t.Helper()
	kit.Eventually(t, "somebody listens", func() bool {
		var err error
		s, err = netstream.Dial(t.Context(), "tcp", address, cfg)
		return err == nil
	})
	return s
}

// TestCurl has curl fetch a file over https.
func TestCurl(t *testing.T) {
	needProgram(t, "curl")
	l := listenTLS(t, nil)
	body := bytes.Repeat([]byte("0123456789abcdef"), 100_000)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			t.Error("the connection is not taken for an encrypted one")
		}
		w.Write(body)
	})}
	go server.Serve(l)
	defer server.Close()
	for _, version := range []string{"1.2", "1.3"} {
		cmd := exec.Command("curl", "--silent", "--show-error", "--fail", "--max-time", "60", "--insecure",
			"--tlsv"+version, "--tls-max", version, "https://"+l.Addr().String()+"/")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		got, err := cmd.Output()
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("TLS %s: %d bytes, %v\n%s", version, len(got), err, &stderr)
		}
	}
}
