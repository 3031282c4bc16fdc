// Runner drives System.Net.Sockets.NetworkStream through the scenarios of ../testdata; ../runner.go is its twin for
// netstream. It prints one line for each step: FILE:LINE, a tab, and what the step gave.
//
//     Runner [--check net9|mono] FILE...
//
// With --check it compares with what the files say for that runtime, marks each line that differs, and ends with
// status 1 if there was one. It compiles with mcs and with the .NET SDK.
using System;
using System.Collections.Generic;
using System.ComponentModel;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;

class Step
{
    public int Line;
    public string[] Words;
    public string Want;
    public Dictionary<string, string> Differs = new Dictionary<string, string>();

    public string Expected(string runtime)
    {
        string want;
        return Differs.TryGetValue(runtime, out want) ? want : Want;
    }

    public bool Accepts(string runtime, string got)
    {
        return Expected(runtime).Split(new[] { " | " }, StringSplitOptions.None).Contains(got);
    }

    // The words of the step. One that looks for a moment whether something does not happen waits for it where it
    // should happen: on a busy machine that may take longer than the moment.
    public string[] Patient(string runtime)
    {
        var words = (string[])Words.Clone();
        if (words[0] == "blocked" && !Accepts(runtime, "blocked")) words[0] = "await";
        if (words[0] == "callback-none" && !Accepts(runtime, "0")) words[0] = "callback-count";
        return words;
    }
}

class Scenario
{
    public string Name;
    public Dictionary<string, string> NotOn = new Dictionary<string, string>();
    public List<Step> Steps = new List<Step>();

    static readonly Regex Reason = new Regex(@" \((promises?|row) [^()]+\)$");

    public static List<Scenario> Load(string file)
    {
        var all = new List<Scenario>();
        int number = 0;
        foreach (var raw in File.ReadAllLines(file))
        {
            number++;
            var text = raw.Trim();
            if (text == "" || text.StartsWith("#")) continue;
            if (text.StartsWith("scenario ")) { all.Add(new Scenario { Name = text.Substring(9).Trim() }); continue; }
            var now = all[all.Count - 1];
            if (text.StartsWith("rows ")) continue;
            if (text.StartsWith("not-on "))
            {
                var parts = text.Substring(7).Split(new[] { ": " }, 2, StringSplitOptions.None);
                now.NotOn[parts[0]] = parts[1];
                continue;
            }
            if (text.StartsWith("netstream: ") || text.StartsWith("mono: "))
            {
                var parts = text.Split(new[] { ": " }, 2, StringSplitOptions.None);
                now.Steps[now.Steps.Count - 1].Differs[parts[0]] = Reason.Replace(parts[1].Trim(), "");
                continue;
            }
            var sides = text.Split(new[] { " -> " }, 2, StringSplitOptions.None);
            now.Steps.Add(new Step
            {
                Line = number,
                Words = sides[0].Split(new[] { ' ' }, StringSplitOptions.RemoveEmptyEntries),
                Want = sides.Length > 1 ? sides[1].Trim() : "ok"
            });
        }
        return all;
    }
}

// The words behind a command: some by position, some as key=value.
class Args
{
    public readonly List<string> List = new List<string>();
    readonly Dictionary<string, string> keys = new Dictionary<string, string>();

    public Args(IEnumerable<string> words)
    {
        foreach (var w in words)
        {
            int at = w.IndexOf('=');
            if (at > 0) keys[w.Substring(0, at)] = w.Substring(at + 1); else List.Add(w);
        }
    }

    public string Word(int i) { return i < List.Count ? List[i] : ""; }
    public bool Has(string flag) { return List.Contains(flag); }
    public int Number(int i) { return Number(Word(i), 0); }
    public int Key(string name, int otherwise) { return Number(Named(name, ""), otherwise); }

    public string Named(string name, string otherwise)
    {
        string v;
        return keys.TryGetValue(name, out v) ? v : otherwise;
    }

    static int Number(string text, int otherwise)
    {
        if (text == "") return otherwise;
        return text == "max" ? int.MaxValue : int.Parse(text);
    }
}

// A stream under test and the other end of its connection.
class Link
{
    public NetworkStream Stream;
    public Socket Raw, Peer;
    public long Asked, Got;
}

// One Begin of a scenario and what its callback saw.
class Operation
{
    public string Name;
    public Link On;
    public bool IsRead;
    public byte[] Buffer;
    public int Size;
    public object State;
    public IAsyncResult Result;
    public int Calls;
    public int BeganOn;    // the thread inside Begin, 0 when none is
    public bool Inside;    // the callback ran inside Begin
    public string Saw = "", EndText = "";
    public readonly ManualResetEvent Released = new ManualResetEvent(false);

    public int WaitCallback()
    {
        Runner.Until(Runner.Patience, () => Calls > 0);
        Thread.Sleep(Runner.Settle);
        return Calls;
    }
}

class FakeResult : IAsyncResult
{
    public object AsyncState { get { return null; } }
    public WaitHandle AsyncWaitHandle { get { return new ManualResetEvent(true); } }
    public bool CompletedSynchronously { get { return false; } }
    public bool IsCompleted { get { return true; } }
}

class Runner
{
    public const int StepLimit = 90000; // no step takes longer; what does is reported as "timed out"
    public const int Patience = 60000;  // how long a step waits for what should come
    public const int Settle = 50;       // until the peer's doing has arrived
    const int Asleep = 200;             // until a step that has been started waits
    const int Quiet = 2000;             // nothing has come for so long: nothing more comes
    const int Look = 250;               // how long a step that should not finish is watched

    readonly object gate = new object();
    readonly Dictionary<string, Link> links = new Dictionary<string, Link>();
    readonly Dictionary<string, Operation> ops = new Dictionary<string, Operation>();
    readonly Dictionary<string, CancellationTokenSource> tokens = new Dictionary<string, CancellationTokenSource>();
    readonly Dictionary<string, Task<string>> started = new Dictionary<string, Task<string>>();
    readonly List<string> order = new List<string>();
    readonly List<IDisposable> cleanup = new List<IDisposable>();
    readonly ManualResetEvent blocker = new ManualResetEvent(false);
    readonly Dictionary<string, Func<Args, string>> steps = new Dictionary<string, Func<Args, string>>();
    Exception last;
    string lastOp = "";

    static int Main(string[] arguments)
    {
        ThreadPool.SetMinThreads(32, 32); // a callback that blocks must not slow the others down
        string check = null;
        var files = new List<string>();
        for (int i = 0; i < arguments.Length; i++)
            if (arguments[i] == "--check") check = arguments[++i]; else files.Add(arguments[i]);
        var runtime = check ?? (Type.GetType("Mono.Runtime") != null ? "mono" : "net9");
        int wrong = 0, ran = 0;
        foreach (var file in files)
            foreach (var scenario in Scenario.Load(file))
            {
                if (scenario.NotOn.ContainsKey(runtime)) continue;
                var runner = new Runner();
                foreach (var step in scenario.Steps)
                {
                    var got = runner.Limited(step.Patient(runtime));
                    ran++;
                    bool right = check == null || step.Accepts(check, got);
                    if (!right) wrong++;
                    Console.WriteLine(Path.GetFileName(file) + ":" + step.Line + "\t" + got + (right ? "" : "\t!! " + scenario.Name + ": want " + step.Expected(check)));
                }
                runner.Close();
            }
        if (check != null) Console.WriteLine(ran + " steps, " + wrong + " wrong");
        Console.Out.Flush();
        Environment.Exit(wrong > 0 ? 1 : 0); // threads that are still blocked do not matter any more
        return 0;
    }

    Runner()
    {
        steps["connect"] = Connect;
        steps["new"] = Construct;
        steps["same-socket-stream"] = a =>
        {
            var l = GetLink(a);
            AddLink(a, new Link { Raw = l.Raw, Peer = l.Peer, Stream = new NetworkStream(l.Raw, false) });
            return "ok";
        };
        AddOperations();
        AddPeer();
        AddResults();
        AddStream();
        AddErrors();
    }

    void Close()
    {
        blocker.Set();
        foreach (var t in tokens.Values) t.Cancel();
        foreach (var l in links.Values)
        {
            l.Peer.Close();
            if (l.Stream != null) try { l.Stream.Close(); } catch (Exception) { }
            l.Raw.Close();
        }
        foreach (var c in cleanup) c.Dispose();
    }

    // ---- running ----

    string Limited(string[] words)
    {
        string text = "timed out";
        var t = new Thread(() => text = Guarded(words));
        t.IsBackground = true;
        t.Start();
        return t.Join(StepLimit) ? text : "timed out";
    }

    string Guarded(string[] words)
    {
        try { return Run(words); }
        catch (Exception e) { return Fail(e); }
    }

    string Run(string[] words)
    {
        switch (words[0])
        {
            case "async": // async NAME STEP...: starts the step and goes on
                var source = new TaskCompletionSource<string>();
                started[words[1]] = source.Task;
                var running = new ManualResetEvent(false);
                var t = new Thread(() => { running.Set(); source.SetResult(Guarded(words.Skip(2).ToArray())); });
                t.IsBackground = true;
                t.Start();
                running.WaitOne();
                Thread.Sleep(Asleep);
                return "started";
            case "await": // await NAME: what the started step prints
                return started[words[1]].Result;
            case "blocked": // blocked NAME: is the started step still at it?
                return started[words[1]].Wait(Look) ? started[words[1]].Result : "blocked";
        }
        Func<Args, string> f;
        return steps.TryGetValue(words[0], out f) ? f(new Args(words.Skip(1))) : "unknown step " + words[0];
    }

    public static bool Until(int limit, Func<bool> f)
    {
        var watch = System.Diagnostics.Stopwatch.StartNew();
        while (!f())
        {
            if (watch.ElapsedMilliseconds > limit) return false;
            Thread.Sleep(1);
        }
        return true;
    }

    Link GetLink(Args a) { lock (gate) return links[a.Named("on", "s")]; }
    string AddLink(Args a, Link l) { lock (gate) links[a.Named("as", "s")] = l; return "ok"; }
    Operation GetOp(Args a) { lock (gate) return ops[a.List.Count > 0 ? a.List[0] : lastOp]; }
    static byte[] Fill(int n, int value) { return Enumerable.Repeat((byte)value, n).ToArray(); }
    static string Yes(bool b) { return b ? "true" : "false"; }

    // ---- words ----

    string Fail(Exception e)
    {
        var all = e as AggregateException;
        if (all != null) e = all.InnerException;
        last = e;
        return Words(e);
    }

    static string Words(Exception e)
    {
        var parts = new List<string>();
        for (; e != null; e = e.InnerException)
        {
            if (e is OperationCanceledException) { parts.Add("canceled"); break; }
            parts.Add(Layer(e));
        }
        return string.Join(" > ", parts);
    }

    static string Layer(Exception e)
    {
        var socket = e as SocketException;
        if (socket != null) return "SocketException(" + socket.SocketErrorCode + " " + (int)socket.SocketErrorCode + ")";
        var disposed = e as ObjectDisposedException;
        if (disposed != null) return "ObjectDisposedException(" + disposed.ObjectName + ")";
        var argument = e as ArgumentException;
        if (argument != null) return argument.GetType().Name + "(" + argument.ParamName + ")";
        return e.GetType().Name;
    }

    // ---- connections ----

    void Pair(bool unix, bool small, out Socket raw, out Socket peer)
    {
        EndPoint at = new IPEndPoint(IPAddress.Loopback, 0);
        var protocol = ProtocolType.Tcp;
        var family = AddressFamily.InterNetwork;
        if (unix)
        {
            var type = typeof(Socket).Assembly.GetType("System.Net.Sockets.UnixDomainSocketEndPoint");
            var path = Path.Combine(Path.GetTempPath(), "netstream-" + Guid.NewGuid().ToString("N"));
            at = (EndPoint)Activator.CreateInstance(type, path);
            protocol = ProtocolType.Unspecified;
            family = AddressFamily.Unix;
        }
        var listener = new Socket(family, SocketType.Stream, protocol);
        listener.Bind(at);
        listener.Listen(4);
        raw = new Socket(family, SocketType.Stream, protocol);
        raw.Connect(unix ? at : listener.LocalEndPoint);
        peer = listener.Accept();
        listener.Close();
        if (!unix) { raw.NoDelay = true; peer.NoDelay = true; } // as Go does
        if (small) { raw.SendBufferSize = 32 << 10; peer.ReceiveBufferSize = 64 << 10; }
    }

    string Connect(Args a)
    {
        var l = new Link();
        Pair(a.Has("unix"), a.Has("small"), out l.Raw, out l.Peer);
        var access = FileAccess.ReadWrite;
        if (a.Named("access", "") == "read") access = FileAccess.Read;
        if (a.Named("access", "") == "write") access = FileAccess.Write;
        l.Stream = new NetworkStream(l.Raw, access, !a.Has("leave-open"));
        return AddLink(a, l);
    }

    string Construct(Args a)
    {
        Socket raw, peer;
        if (a.Word(0) == "null") { new NetworkStream(null, FileAccess.ReadWrite, true); return "ok"; }
        Pair(false, false, out raw, out peer);
        cleanup.Add(raw); cleanup.Add(peer);
        switch (a.Word(0))
        {
            case "closed": raw.Close(); break;
            case "shut": raw.Shutdown(SocketShutdown.Both); break;
            case "non-blocking": raw.Blocking = false; break;
            case "unconnected": raw = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp); break;
            case "udp":
                raw = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
                raw.Connect(new IPEndPoint(IPAddress.Loopback, 9));
                break;
        }
        cleanup.Add(raw);
        var s = new NetworkStream(raw, (FileAccess)a.Key("access", (int)FileAccess.ReadWrite), false);
        return "can read " + Yes(s.CanRead) + ", can write " + Yes(s.CanWrite);
    }

    // ---- operations ----

    void AddOperations()
    {
        steps["begin-write"] = a => Begin(a, false);
        steps["begin-read"] = a => Begin(a, true);
        steps["end-write"] = EndWrite;
        steps["end-read"] = EndRead;
        steps["write"] = Write;
        steps["read"] = Read;
        steps["from-async"] = a =>
        {
            var s = GetLink(a).Stream;
            Task.Factory.FromAsync(s.BeginWrite, s.EndWrite, Fill(a.Number(0), 0xEE), 0, a.Number(0), null).Wait();
            return "ok";
        };
        steps["chain"] = Chain;
        steps["sync-loop"] = SyncLoop;
        steps["cancel"] = a => { Token(a.Word(0)).Cancel(); return "ok"; };
        steps["cancel-op"] = a => "impossible";
        steps["refill"] = a => { var o = GetOp(a); for (int i = 0; i < o.Buffer.Length; i++) o.Buffer[i] = (byte)a.Key("fill", 9); return "ok"; };
        steps["sleep"] = a => { Thread.Sleep(a.Number(0)); return "ok"; };
        steps["unlock"] = a => { blocker.Set(); return "ok"; };
    }

    string Begin(Args a, bool read)
    {
        var o = new Operation { On = GetLink(a), IsRead = read, Size = a.Number(0) };
        int offset = a.Key("offset", 0);
        if (a.Named("buffer", "") != "null")
            o.Buffer = Fill(a.Key("buffer", Math.Max(offset, 0) + Math.Max(o.Size, 0)), a.Key("fill", 0xEE));
        if (a.Named("state", "") == "object") o.State = o;
        lock (gate)
        {
            o.Name = a.Named("as", "op" + ops.Count);
            ops[o.Name] = o;
            lastOp = o.Name;
        }
        var kind = a.Named("callback", "");
        AsyncCallback callback = null;
        if (kind != "") callback = ar => Called(o, kind, ar);
        o.BeganOn = Thread.CurrentThread.ManagedThreadId;
        try
        {
            o.Result = read ? o.On.Stream.BeginRead(o.Buffer, offset, o.Size, callback, o.State)
                            : o.On.Stream.BeginWrite(o.Buffer, offset, o.Size, callback, o.State);
        }
        finally { o.BeganOn = 0; }
        if (!read) lock (gate) o.On.Asked += o.Size;
        return "begun";
    }

    // The callback: it looks around first, and then does what the step asked for.
    void Called(Operation o, string kind, IAsyncResult ar)
    {
        lock (gate) order.Add(o.Name);
        o.Inside = o.BeganOn == Thread.CurrentThread.ManagedThreadId;
        o.Saw = "completed " + Yes(ar.IsCompleted) + ", handle set " + Yes(ar.AsyncWaitHandle.WaitOne(0)) + ", state same " + Yes(ReferenceEquals(ar.AsyncState, o.State));
        Interlocked.Increment(ref o.Calls);
        if (kind == "close") o.On.Stream.Close();
        if (kind == "end" || kind == "close")
            try { o.EndText = End(o.On.Stream, o, ar); } catch (Exception e) { o.EndText = Fail(e); }
        if (kind == "block") blocker.WaitOne();
        o.Released.Set();
    }

    static string End(NetworkStream s, Operation o, IAsyncResult ar)
    {
        if (o.IsRead) return s.EndRead(ar) + " bytes";
        s.EndWrite(ar);
        return "ok";
    }

    NetworkStream StreamFor(Args a, Operation o) { return a.Named("on", "") != "" ? GetLink(a).Stream : o.On.Stream; }

    string EndWrite(Args a)
    {
        if (a.Has("null")) { GetLink(a).Stream.EndWrite(null); return "ok"; }
        if (a.Has("fake")) { GetLink(a).Stream.EndWrite(new FakeResult()); return "ok"; }
        var o = GetOp(a);
        StreamFor(a, o).EndWrite(o.Result);
        return "ok";
    }

    string EndRead(Args a)
    {
        if (a.Has("null")) return GetLink(a).Stream.EndRead(null) + " bytes";
        if (a.Has("fake")) return GetLink(a).Stream.EndRead(new FakeResult()) + " bytes";
        var o = GetOp(a);
        return StreamFor(a, o).EndRead(o.Result) + " bytes";
    }

    CancellationTokenSource Token(string name)
    {
        lock (gate)
        {
            CancellationTokenSource t;
            if (!tokens.TryGetValue(name, out t)) tokens[name] = t = new CancellationTokenSource();
            if (name == "cancelled") t.Cancel();
            return t;
        }
    }

    string Write(Args a)
    {
        var l = GetLink(a);
        var data = Fill(a.Number(0), a.Key("fill", 0xEE));
        if (a.Named("token", "") == "") l.Stream.Write(data, 0, data.Length);
        else l.Stream.WriteAsync(data, 0, data.Length, Token(a.Named("token", "")).Token).Wait();
        lock (gate) l.Asked += data.Length;
        return "ok";
    }

    string Read(Args a)
    {
        var buffer = new byte[a.Number(0)];
        var s = GetLink(a).Stream;
        int n = a.Named("token", "") == "" ? s.Read(buffer, 0, buffer.Length)
              : s.ReadAsync(buffer, 0, buffer.Length, Token(a.Named("token", "")).Token).Result;
        return n + " bytes";
    }

    // Each callback begins the next write; do they nest?
    string Chain(Args a)
    {
        var l = GetLink(a);
        int n = a.Number(0), calls = 0, inside = 0;
        bool nested = false;
        Exception failure = null;
        var done = new ManualResetEvent(false);
        var message = new byte[] { 1 };
        AsyncCallback next = null;
        next = ar =>
        {
            int here = Thread.CurrentThread.ManagedThreadId;
            if (inside == here) nested = true;
            calls++;
            try
            {
                l.Stream.EndWrite(ar);
                if (calls < n)
                {
                    inside = here;
                    l.Stream.BeginWrite(message, 0, 1, next, null);
                    if (inside == here) inside = 0;
                    return;
                }
            }
            catch (Exception e) { failure = e; }
            done.Set();
        };
        l.Stream.BeginWrite(message, 0, 1, next, null);
        done.WaitOne();
        l.Asked += n;
        if (failure != null) return Fail(failure);
        return calls + " callbacks, nested " + Yes(nested);
    }

    // The documented loop: what Begin finished is handled by the caller, the rest by the callback.
    string SyncLoop(Args a)
    {
        var l = GetLink(a);
        int n = a.Number(0), handled = 0;
        Exception failure = null;
        var done = new ManualResetEvent(false);
        var message = new byte[] { 1 };
        Action run = null;
        AsyncCallback written = ar =>
        {
            if (ar.CompletedSynchronously) return; // the loop has it
            try { l.Stream.EndWrite(ar); handled++; run(); }
            catch (Exception e) { failure = e; done.Set(); }
        };
        run = () =>
        {
            while (handled < n)
            {
                var ar = l.Stream.BeginWrite(message, 0, 1, written, null);
                if (!ar.CompletedSynchronously) return; // the callback goes on
                l.Stream.EndWrite(ar);
                handled++;
            }
            done.Set();
        };
        run();
        done.WaitOne();
        l.Asked += n;
        return failure != null ? Fail(failure) : handled + " handled";
    }

    // ---- the peer ----

    void AddPeer()
    {
        steps["peer-send"] = a => { GetLink(a).Peer.Send(Fill(a.Number(0), a.Key("fill", 7))); Thread.Sleep(Settle); return "ok"; };
        steps["peer-read"] = PeerRead;
        steps["peer-end"] = PeerEnd;
        steps["peer-available"] = a => { Thread.Sleep(Settle); return GetLink(a).Peer.Available + " bytes"; };
        steps["peer-close"] = a => { GetLink(a).Peer.Close(); Thread.Sleep(Settle); return "ok"; };
        steps["peer-reset"] = a =>
        {
            var peer = GetLink(a).Peer;
            peer.LingerState = new LingerOption(true, 0);
            peer.Close();
            Thread.Sleep(Settle);
            return "ok";
        };
        steps["peer-shutdown"] = a =>
        {
            GetLink(a).Peer.Shutdown(a.Word(0) == "send" ? SocketShutdown.Send : SocketShutdown.Receive);
            Thread.Sleep(Settle);
            return "ok";
        };
        steps["until-stuck"] = UntilStuck;
        steps["raw-send"] = a =>
        {
            try { GetLink(a).Raw.Send(Fill(a.Number(0), 0xEE)); return "ok"; }
            catch (ObjectDisposedException) { return "closed"; }
        };
    }

    // Returns the bytes read, or -1 and how it ended.
    int PeerOnce(Link l, byte[] buffer, int count, int limit, out string ending)
    {
        ending = "";
        if (!l.Peer.Poll(limit * 1000, SelectMode.SelectRead)) { ending = "open"; return 0; }
        try
        {
            int n = l.Peer.Receive(buffer, 0, count, SocketFlags.None);
            l.Got += n;
            if (n == 0) ending = "end";
            return n;
        }
        catch (SocketException e) { ending = e.SocketErrorCode == SocketError.ConnectionReset ? "reset" : e.SocketErrorCode.ToString(); return 0; }
    }

    string PeerRead(Args a)
    {
        var l = GetLink(a);
        var values = new List<byte>();
        bool all = a.Has("all"); // all there is, however much
        int want = all ? int.MaxValue : a.Number(0), total = 0;
        bool more = false;
        string ending = "";
        var buffer = new byte[64 << 10];
        while (total < want && ending == "")
        {
            int n = PeerOnce(l, buffer, Math.Min(buffer.Length, want - total), all ? Quiet : Patience, out ending);
            for (int i = 0; i < n && !more; i++)
            {
                if (values.Count > 0 && values[values.Count - 1] == buffer[i]) continue;
                if (values.Count == 32) { more = true; break; }
                values.Add(buffer[i]);
            }
            total += n;
        }
        var text = string.Concat(values.Select(v => " " + v));
        return (all ? text.TrimStart() : total + " bytes:" + text) + (more ? " ..." : "") + (ending != "" ? ", " + ending : "");
    }

    string PeerEnd(Args a)
    {
        var l = GetLink(a);
        string ending = "";
        var buffer = new byte[64 << 10];
        while (ending == "") PeerOnce(l, buffer, buffer.Length, Patience, out ending);
        var share = l.Got == l.Asked ? "all" : l.Got > l.Asked ? "too much" : l.Got == 0 ? "nothing" : "some";
        return share + ", " + ending;
    }

    // Waits until bytes lie at a peer that does not read and no more of them come: the buffers are full.
    string UntilStuck(Args a)
    {
        var peer = GetLink(a).Peer;
        int last = 0, same = 0;
        bool stuck = Until(Patience, () =>
        {
            Thread.Sleep(10);
            int n = peer.Available;
            same = n > 0 && n == last ? same + 1 : 0;
            last = n;
            return same == 20;
        });
        return stuck ? "ok" : "not stuck";
    }

    // ---- looks ----

    void AddResults()
    {
        steps["is-completed"] = a => Yes(GetOp(a).Result.IsCompleted);
        steps["completed-synchronously"] = a => Yes(GetOp(a).Result.CompletedSynchronously);
        steps["state"] = a =>
        {
            var o = GetOp(a);
            return o.Result.AsyncState == null ? "null" : ReferenceEquals(o.Result.AsyncState, o.State) ? "same" : "another";
        };
        steps["until-completed"] = a => { var o = GetOp(a); return Yes(Until(Patience, () => o.Result.IsCompleted)); };
        steps["wait"] = a => Yes(GetOp(a).Result.AsyncWaitHandle.WaitOne(a.Number(1)));
        steps["wait-any"] = a =>
        {
            var handles = a.List.Skip(1).Select(n => GetOp(new Args(new[] { n })).Result.AsyncWaitHandle).ToArray();
            int i = WaitHandle.WaitAny(handles, a.Number(0));
            return i == WaitHandle.WaitTimeout ? "timeout" : i.ToString();
        };
        steps["same-handle"] = a => { var o = GetOp(a); return Yes(ReferenceEquals(o.Result.AsyncWaitHandle, o.Result.AsyncWaitHandle)); };
        steps["callback-count"] = a => GetOp(a).WaitCallback().ToString();
        steps["callback-none"] = a => { Thread.Sleep(2 * Settle); return GetOp(a).Calls.ToString(); };
        steps["callback-saw"] = a => { var o = GetOp(a); o.WaitCallback(); return o.Saw; };
        steps["callback-where"] = a => { var o = GetOp(a); o.WaitCallback(); return o.Inside ? "inside Begin" : "another thread"; };
        steps["callback-end"] = a => { var o = GetOp(a); return o.Released.WaitOne(Patience) ? o.EndText : "callback has not returned"; };
        steps["callback-order"] = a => { Thread.Sleep(Settle); lock (gate) return string.Join(" ", order); };
        steps["data"] = a => BitConverter.ToString(GetOp(a).Buffer).Replace('-', ' ').ToLowerInvariant();
    }

    void AddStream()
    {
        steps["close"] = a => { if (a.Word(0) == "") GetLink(a).Stream.Close(); else GetLink(a).Stream.Close(a.Number(0)); return "ok"; };
        steps["socket-close"] = a => { GetLink(a).Raw.Close(); return "ok"; };
        steps["shutdown"] = a =>
        {
            var how = a.Word(0) == "send" ? SocketShutdown.Send : a.Word(0) == "receive" ? SocketShutdown.Receive : SocketShutdown.Both;
            GetLink(a).Raw.Shutdown(how);
            return "ok";
        };
        steps["linger"] = a => { GetLink(a).Raw.LingerState = new LingerOption(true, a.Number(0)); return "ok"; };
        steps["can-read"] = a => Yes(GetLink(a).Stream.CanRead);
        steps["can-write"] = a => Yes(GetLink(a).Stream.CanWrite);
        steps["can-seek"] = a => Yes(GetLink(a).Stream.CanSeek);
        steps["can-timeout"] = a => Yes(GetLink(a).Stream.CanTimeout);
        steps["connected"] = a => Yes(GetLink(a).Raw.Connected);
        steps["same-socket"] = a => Yes(ReferenceEquals(StreamSocket(GetLink(a)), GetLink(a).Raw));
        steps["flush"] = a => { GetLink(a).Stream.Flush(); return "ok"; };
        steps["data-available"] = a => Yes(GetLink(a).Stream.DataAvailable);
        steps["read-timeout"] = a => GetLink(a).Stream.ReadTimeout.ToString();
        steps["write-timeout"] = a => GetLink(a).Stream.WriteTimeout.ToString();
        steps["set-read-timeout"] = a => { GetLink(a).Stream.ReadTimeout = a.Number(0); return "ok"; };
        steps["set-write-timeout"] = a => { GetLink(a).Stream.WriteTimeout = a.Number(0); return "ok"; };
    }

    // The property is protected on older runtimes.
    static object StreamSocket(Link l)
    {
        var flags = System.Reflection.BindingFlags.Instance | System.Reflection.BindingFlags.Public | System.Reflection.BindingFlags.NonPublic;
        return typeof(NetworkStream).GetProperty("Socket", flags).GetValue(l.Stream, null);
    }

    void AddErrors()
    {
        steps["error-is"] = a =>
        {
            switch (a.Word(0))
            {
                case "ArgumentException": return Yes(last is ArgumentException);
                case "InvalidOperationException": return Yes(last is InvalidOperationException);
                case "ObjectDisposedException": return Yes(last is ObjectDisposedException);
                case "IOException": return Yes(last is IOException);
                case "Win32Exception": return Yes(FindSocket(last) is Win32Exception);
            }
            return "unknown here";
        };
        steps["socket-error"] = a => { var e = FindSocket(last); return e == null ? "none" : e.SocketErrorCode + " " + (int)e.SocketErrorCode; };
        steps["error-code"] = a => { var e = FindSocket(last); return e == null ? "none" : e.ErrorCode.ToString(); };
        steps["message"] = a => Yes(last.InnerException != null && last.Message.Contains(last.InnerException.Message));
        steps["error-bytes"] = a => "not told";
        steps["torn"] = a => "not told";
    }

    static SocketException FindSocket(Exception e)
    {
        for (; e != null; e = e.InnerException)
        {
            var s = e as SocketException;
            if (s != null) return s;
        }
        return null;
    }
}
