// SslPeer is the .NET end of an encrypted connection to netstream: an SslStream. It obeys commands on its standard input,
// one in a line, and answers each on its standard output.
//
//     SslPeer server FILE PASSWORD     listens on loopback with that certificate (PKCS 12), serves one connection
//     SslPeer client PORT yes|no       connects to loopback; "no" refuses the server's certificate
//
// It prints "listening PORT" where it listens, and then "authenticated VERSION", or "failed EXCEPTION...".
//
//     echo BUFFER       sends back what comes, BUFFER bytes at a time, until the end: "echoed BYTES"
//     say TEXT          sends TEXT: "said"
//     close             closes the stream and what is below: "closed"
//     cut               ends the connection below without close_notify: "cut"
using System;
using System.IO;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Threading;

class SslPeer
{
    static TcpClient connection;
    static SslStream stream;

    static int Main(string[] arguments)
    {
        try
        {
            if (arguments[0] == "server") Serve(arguments[1], arguments[2]);
            else Connect(int.Parse(arguments[1]), arguments[2] == "yes");
            Say("authenticated " + stream.SslProtocol);
            string line;
            while ((line = Console.ReadLine()) != null) Obey(line.Split(new[] { ' ' }, 2));
        }
        catch (Exception e)
        {
            Say("failed " + Describe(e));
        }
        return 0;
    }

    static void Serve(string file, string password)
    {
        var certificate = new X509Certificate2(file, password);
        var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        Say("listening " + ((IPEndPoint)listener.LocalEndpoint).Port);
        connection = listener.AcceptTcpClient();
        listener.Stop();
        stream = new SslStream(connection.GetStream(), false);
        stream.AuthenticateAsServer(certificate, false, SslProtocols.Tls12, false);
    }

    static void Connect(int port, bool trust)
    {
        connection = new TcpClient("127.0.0.1", port);
        stream = new SslStream(connection.GetStream(), false, (sender, certificate, chain, errors) => trust);
        stream.AuthenticateAsClient("127.0.0.1", null, SslProtocols.Tls12, false);
    }

    static void Say(string text)
    {
        Console.WriteLine(text);
        Console.Out.Flush();
    }

    static void Obey(string[] words)
    {
        switch (words[0])
        {
            case "echo":
                Say("echoed " + new Echo(int.Parse(words[1])).Run());
                break;
            case "say":
                byte[] text = Encoding.ASCII.GetBytes(words[1]);
                stream.Write(text, 0, text.Length);
                Say("said");
                break;
            case "close":
                stream.Close();
                Say("closed");
                break;
            case "cut":
                connection.Client.Shutdown(SocketShutdown.Send);
                Say("cut");
                break;
        }
    }

    // The names of the exceptions, the outermost first.
    static string Describe(Exception e)
    {
        var text = new StringBuilder();
        for (; e != null; e = e.InnerException)
        {
            if (text.Length > 0) text.Append(' ');
            text.Append(e.GetType().Name);
        }
        return text.ToString();
    }

    // One BeginRead after the other, each answered with a BeginWrite: an SslStream takes one at a time.
    class Echo
    {
        readonly byte[] buffer;
        readonly ManualResetEvent done = new ManualResetEvent(false);
        long bytes;
        Exception failure;

        public Echo(int size) { buffer = new byte[size]; }

        public long Run()
        {
            Read();
            done.WaitOne();
            if (failure != null) throw failure;
            return bytes;
        }

        void Read() { stream.BeginRead(buffer, 0, buffer.Length, HasRead, null); }

        void HasRead(IAsyncResult result)
        {
            try
            {
                int n = stream.EndRead(result);
                bytes += n;
                if (n == 0) done.Set();
                else stream.BeginWrite(buffer, 0, n, HasWritten, null);
            }
            catch (Exception e)
            {
                Fail(e);
            }
        }

        void HasWritten(IAsyncResult result)
        {
            try
            {
                stream.EndWrite(result);
                Read();
            }
            catch (Exception e)
            {
                Fail(e);
            }
        }

        void Fail(Exception e)
        {
            failure = e;
            done.Set();
        }
    }
}
