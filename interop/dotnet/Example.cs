// Example writes a question with BeginWrite and reads the answer with BeginRead: what the page for
// NetworkStream.BeginWrite shows, as a whole program. ../example is its translation to Go.
//
//     Example PORT
using System;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Threading;

class Example
{
    static readonly ManualResetEvent written = new ManualResetEvent(false);
    static readonly ManualResetEvent answered = new ManualResetEvent(false);
    static readonly byte[] buffer = new byte[16];
    static readonly StringBuilder answer = new StringBuilder();
    static Exception failure;

    static int Main(string[] arguments)
    {
        using (var client = new TcpClient())
        {
            client.Connect(IPAddress.Loopback, int.Parse(arguments[0]));
            NetworkStream stream = client.GetStream();
            if (!stream.CanWrite)
            {
                Console.WriteLine("this stream cannot be written to");
                return 1;
            }
            byte[] question = Encoding.ASCII.GetBytes("Is anybody there?");
            stream.BeginWrite(question, 0, question.Length, WriteDone, stream);
            written.WaitOne();
            client.Client.Shutdown(SocketShutdown.Send);

            stream.BeginRead(buffer, 0, buffer.Length, ReadDone, stream);
            answered.WaitOne();
        }
        if (failure != null)
        {
            Console.WriteLine(failure.Message);
            return 1;
        }
        Console.WriteLine(answer);
        return 0;
    }

    static void WriteDone(IAsyncResult ar)
    {
        var stream = (NetworkStream)ar.AsyncState;
        try { stream.EndWrite(ar); }
        catch (Exception e) { failure = e; }
        written.Set();
    }

    static void ReadDone(IAsyncResult ar)
    {
        var stream = (NetworkStream)ar.AsyncState;
        try
        {
            int n = stream.EndRead(ar);
            if (n > 0)
            {
                answer.Append(Encoding.ASCII.GetString(buffer, 0, n));
                stream.BeginRead(buffer, 0, buffer.Length, ReadDone, stream);
                return;
            }
        }
        catch (Exception e) { failure = e; }
        answered.Set();
    }
}
