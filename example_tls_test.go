package netstream_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// exampleCertificate makes a certificate for 127.0.0.1, and the pool by which a client knows it.
func exampleCertificate() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		log.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, roots
}

// Both ends speak TLS from the first byte on. Everything else is as without: here, the client begins its writes and the
// server reads to the authenticated end.
func ExampleConfig_tls() {
	certificate, roots := exampleCertificate()
	listener, err := netstream.Listen("tcp", "127.0.0.1:0", &netstream.Config{
		TLS: &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"chat/2", "chat/1"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	accepting, err := listener.BeginAccept(nil, nil)
	if err != nil {
		log.Fatal(err)
	}

	client, err := netstream.Dial(context.Background(), "tcp", listener.Addr().String(), &netstream.Config{
		TLS: &tls.Config{RootCAs: roots, NextProtos: []string{"chat/1"}}, // ServerName comes from the address
	})
	if err != nil {
		log.Fatal(err) // a certificate that is not trusted is an AuthenticationError here
	}
	defer client.Close()
	server, err := listener.EndAccept(accepting) // its handshake is over
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	state, encrypted := server.ConnectionState()
	fmt.Println(encrypted, tls.VersionName(server.SslProtocol()), state.NegotiatedProtocol)

	for _, message := range []string{"one ", "two ", "three"} {
		if _, err := client.BeginWrite([]byte(message), 0, len(message), nil, nil); err != nil {
			log.Fatal(err)
		}
	}
	if err := client.CloseWrite(); err != nil { // sends close_notify behind them
		log.Fatal(err)
	}
	got, err := io.ReadAll(server) // an end without close_notify would be io.ErrUnexpectedEOF
	fmt.Printf("%q, %v\n", got, err)
	// Output:
	// true TLS 1.3 chat/1
	// "one two three", <nil>
}

// STARTTLS: the two ends agree in the clear, and go on encrypted.
func ExampleNetworkStream_AuthenticateAsServer() {
	certificate, roots := exampleCertificate()
	client, server := netstream.Pipe(nil)
	defer client.Close()

	go func() {
		defer server.Close()
		lines := bufio.NewReader(server)
		line, err := lines.ReadString('\n')
		if err != nil || line != "STARTTLS\n" {
			return
		}
		if lines.Buffered() != 0 { // came in the clear, and must not be taken for what came encrypted
			return
		}
		fmt.Fprint(server, "220 go ahead\n")
		config := &tls.Config{Certificates: []tls.Certificate{certificate}}
		if err := server.AuthenticateAsServer(context.Background(), config); err != nil {
			log.Print(err)
			return
		}
		fmt.Fprintf(server, "hello over %s", tls.VersionName(server.SslProtocol()))
	}()

	fmt.Fprint(client, "STARTTLS\n")
	answer := make([]byte, len("220 go ahead\n"))
	if _, err := io.ReadFull(client, answer); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", answer)
	config := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
	if err := client.AuthenticateAsClient(context.Background(), config); err != nil {
		log.Fatal(err)
	}
	got, err := io.ReadAll(client)
	fmt.Printf("%s, %v\n", got, err)
	// Output:
	// 220 go ahead
	// hello over TLS 1.3, <nil>
}
