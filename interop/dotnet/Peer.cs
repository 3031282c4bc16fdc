// Peer is the .NET end of a connection to netstream. It obeys commands on its standard input, one in a line, and
// answers on its standard output, one line for each; the first word of both is a tag of the caller's choice.
//
//     Peer server          listens on loopback, prints "listening PORT", serves one connection
//     Peer client PORT     connects to loopback
//
//     TAG send SEED COUNT SIZE WINDOW   COUNT writes of SIZE bytes, WINDOW of them begun and not yet ended
//     TAG receive BYTES BUFFER DELAY    reads until BYTES are there (0: the end); waits DELAY ms after each read
//     TAG half-close | reset | close
//
// send answers "TAG sent BYTES SHA256", receive "TAG received BYTES SHA256 full|end"; both answer "TAG failed
// EXCEPTION [CODE NUMBER ERRORCODE]" when it goes wrong. It ends with its input.
using System;
using System.IO;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Threading;

class Peer
{
    static readonly object output = new object();
    static Socket socket;
    static NetworkStream stream;

    static int Main(string[] arguments)
    {
        if (arguments.Length > 0 && arguments[0] == "server")
        {
            var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            listener.Listen(1);
            Say("listening " + ((IPEndPoint)listener.LocalEndPoint).Port);
            socket = listener.Accept();
            listener.Close();
        }
        else if (arguments.Length > 1 && arguments[0] == "client")
        {
            socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            socket.Connect(new IPEndPoint(IPAddress.Loopback, int.Parse(arguments[1])));
        }
        else
        {
            Console.Error.WriteLine("Peer server | Peer client PORT");
            return 2;
        }
        stream = new NetworkStream(socket, true);
        Say("connected");
        string line;
        while ((line = Console.ReadLine()) != null) Obey(line.Split(' '));
        Environment.Exit(0); // whatever is still pending
        return 0;
    }

    static void Say(string text)
    {
        lock (output)
        {
            Console.WriteLine(text);
            Console.Out.Flush();
        }
    }

    static void Obey(string[] words)
    {
        switch (words[1])
        {
            case "send":
                new Sender(words[0], uint.Parse(words[2]), int.Parse(words[3]), int.Parse(words[4]), int.Parse(words[5])).Start();
                return;
            case "receive":
                new Receiver(words[0], long.Parse(words[2]), int.Parse(words[3]), int.Parse(words[4])).Next();
                return;
            case "half-close":
                socket.Shutdown(SocketShutdown.Send);
                break;
            case "reset":
                socket.LingerState = new LingerOption(true, 0);
                socket.Close();
                break;
            case "close":
                stream.Close();
                break;
        }
        Say(words[0] + " ok");
    }

    static string Describe(Exception e)
    {
        var text = new StringBuilder();
        for (; e != null; e = e.InnerException)
        {
            if (text.Length > 0) text.Append(' ');
            text.Append(e.GetType().Name);
            var s = e as SocketException;
            if (s != null) text.Append(" " + s.SocketErrorCode + " " + (int)s.SocketErrorCode + " " + s.ErrorCode);
        }
        return text.ToString();
    }

    static string Hex(byte[] hash) { return BitConverter.ToString(hash).Replace("-", "").ToLowerInvariant(); }

    // Many BeginWrites, each ended by its callback. The hash is taken in Begin order.
    class Sender
    {
        readonly string tag;
        readonly int count, size;
        readonly Semaphore room;
        readonly SHA256 hash = SHA256.Create();
        readonly ManualResetEvent done = new ManualResetEvent(false);
        uint random;
        int left;
        Exception failure;

        public Sender(string tag, uint seed, int count, int size, int window)
        {
            this.tag = tag;
            random = seed;
            left = count;
            this.count = count;
            this.size = size;
            room = new Semaphore(window, window);
        }

        public void Start()
        {
            var t = new Thread(Run);
            t.IsBackground = true;
            t.Start();
        }

        void Run()
        {
            try
            {
                for (int i = 0; i < count && failure == null; i++)
                {
                    room.WaitOne();
                    var message = Message();
                    stream.BeginWrite(message, 0, size, Written, null);
                    hash.TransformBlock(message, 0, size, null, 0);
                }
                while (failure == null && !done.WaitOne(50)) { }
            }
            catch (Exception e) { failure = failure ?? e; }
            hash.TransformFinalBlock(new byte[0], 0, 0);
            if (failure != null) Say(tag + " failed " + Describe(failure));
            else Say(tag + " sent " + (long)count * size + " " + Hex(hash.Hash));
        }

        void Written(IAsyncResult ar)
        {
            try { stream.EndWrite(ar); }
            catch (Exception e) { failure = failure ?? e; }
            if (Interlocked.Decrement(ref left) == 0) done.Set();
            room.Release();
        }

        byte[] Message()
        {
            var message = new byte[size];
            for (int i = 0; i < size; i++)
            {
                random ^= random << 13;
                random ^= random >> 17;
                random ^= random << 5;
                message[i] = (byte)random;
            }
            return message;
        }
    }

    // A chain of BeginReads.
    class Receiver
    {
        readonly string tag;
        readonly long want;
        readonly int delay;
        readonly byte[] buffer;
        readonly SHA256 hash = SHA256.Create();
        long got;

        public Receiver(string tag, long want, int buffer, int delay)
        {
            this.tag = tag;
            this.want = want;
            this.delay = delay;
            this.buffer = new byte[buffer];
        }

        public void Next()
        {
            try
            {
                // What .NET 5 and later finish at once is handled here, or the stack would grow with the data.
                while (true)
                {
                    int size = want == 0 ? buffer.Length : (int)Math.Min(buffer.Length, want - got);
                    var ar = stream.BeginRead(buffer, 0, size, Arrived, null);
                    if (!ar.CompletedSynchronously || !Take(ar)) return;
                }
            }
            catch (Exception e) { Say(tag + " failed " + Describe(e)); }
        }

        void Arrived(IAsyncResult ar)
        {
            if (ar.CompletedSynchronously) return;
            try { if (!Take(ar)) return; }
            catch (Exception e) { Say(tag + " failed " + Describe(e)); return; }
            Next();
        }

        bool Take(IAsyncResult ar)
        {
            int n = stream.EndRead(ar);
            hash.TransformBlock(buffer, 0, n, null, 0);
            got += n;
            if (n == 0 || got == want)
            {
                hash.TransformFinalBlock(new byte[0], 0, 0);
                Say(tag + " received " + got + " " + Hex(hash.Hash) + (n == 0 ? " end" : " full"));
                return false;
            }
            if (delay > 0) Thread.Sleep(delay);
            return true;
        }
    }
}
