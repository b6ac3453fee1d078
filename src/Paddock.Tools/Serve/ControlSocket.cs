using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Paddock.Block;
using Paddock.Nvme;
using Paddock.Nvme.Wire;

namespace Paddock.Tools.Serve;

/// <summary>
/// The server's Unix socket for faults on demand: a line in, a line back that begins with <c>ok</c> or <c>error</c>. Who may write to the
/// socket's file may use it: it is made for its owner alone.
/// </summary>
internal sealed class ControlSocket : IDisposable
{
    private const int MaxLine = 1024;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly string _path;
    private readonly Socket _listener;
    private readonly NvmeTarget _target;
    private readonly Action _drop;
    private readonly ServeLog _log;

    public ControlSocket(string path, NvmeTarget target, Action drop, ServeLog log)
    {
        _path = path;
        _target = target;
        _drop = drop;
        _log = log;
        _listener = Listeners.Unix(path);
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }
        _ = Task.Run(RunAsync);
    }

    public void Dispose()
    {
        _listener.Dispose();
        File.Delete(_path);
    }

    /// <summary>Sends one line to a server and gives its answer.</summary>
    public static async Task<string> AskAsync(string path, string line, CancellationToken cancellationToken)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellationToken);
        }
        catch (SocketException e)
        {
            throw new ToolException($"no server answers at '{path}': {e.Message}");
        }

        await using var stream = new NetworkStream(socket);
        await stream.WriteAsync(Encoding.UTF8.GetBytes(line + "\n"), cancellationToken);
        using var reader = new StreamReader(stream, Encoding.UTF8);
        string answer = await reader.ReadLineAsync(cancellationToken) ?? "error: the server closed the connection";
        return answer.StartsWith("ok", StringComparison.Ordinal) ? answer : throw new ToolException(answer.Replace("error: ", "", StringComparison.Ordinal));
    }

    /// <summary>Runs one line: <c>fail|delay|clear|drop|readonly|offline|restore [name=value...]</c>.</summary>
    internal async Task<string> ExecuteAsync(string line)
    {
        try
        {
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            var options = words.Skip(1).Select(w => w.Split('=', 2)).ToDictionary(p => p[0], p => p.Length > 1 ? p[1] : "");
            switch (words.FirstOrDefault())
            {
                case "drop":
                    _drop();
                    return "ok: every connection was ended";
                case "clear":
                    Find(options).Namespace.Faults.Clear();
                    return "ok: no faults are left";
                case "fail" or "delay":
                    Find(options).Namespace.Faults.Add(FaultOf(words[0] == "fail", options));
                    return "ok";
                case "readonly" or "offline" or "restore":
                    return await WearAsync(words[0], options);
                default:
                    return "error: say fail, delay, clear, drop, readonly, offline or restore";
            }
        }
        catch (Exception e) when (e is ToolException or BlockException or ArgumentException or FormatException or OverflowException)
        {
            return "error: " + e.Message.ReplaceLineEndings(" ");
        }
    }

    private static CommandFault FaultOf(bool fails, Dictionary<string, string> options)
    {
        long Number(string name, long otherwise) => options.TryGetValue(name, out string? text)
            ? long.Parse(text, CultureInfo.InvariantCulture) : otherwise;
        byte? opcode = options.GetValueOrDefault("command") switch
        {
            null or "any" => null,
            "read" => 0x02,
            "write" => 0x01,
            "flush" => 0x00,
            "append" => 0x7D,
            "zone" => 0x79,
            "report" => 0x7A,
            var other => throw new ToolException($"there is no command '{other}': say any, read, write, flush, append, zone or report"),
        };
        long status = options.TryGetValue("status", out string? hex) ? Convert.ToInt64(hex, 16) : (long)NvmeStatus.InternalError;
        return status is <= 0 or > 0x7FF
            ? throw new ToolException("a status is a hexadecimal number from 1 to 7ff")
            : new CommandFault(
                opcode, Math.Max(1, Number("nth", 1)) - 1, Number("count", 1), fails ? (NvmeStatus)status : null,
                TimeSpan.FromMilliseconds(Number("ms", fails ? 0 : 1000)));
    }

    private (NvmeSubsystem Subsystem, NvmeNamespace Namespace) Find(Dictionary<string, string> options)
    {
        uint id = options.TryGetValue("ns", out string? text) ? uint.Parse(text, CultureInfo.InvariantCulture) : 1;
        var subsystem = options.TryGetValue("nqn", out string? nqn)
            ? _target.Subsystems.FirstOrDefault(s => s.Nqn == nqn)
            : _target.Subsystems is [var only, ..] ? only : null;
        var ns = subsystem?.Namespaces.FirstOrDefault(n => n.Id == id);
        return ns is null ? throw new ToolException($"there is no namespace {id} in subsystem '{nqn ?? subsystem?.Nqn}'") : (subsystem!, ns);
    }

    private async Task<string> WearAsync(string what, Dictionary<string, string> options)
    {
        var (subsystem, ns) = Find(options);
        if (ns.Zoned?.Attributes is not { } attributes)
        {
            throw new ToolException("this namespace cannot keep conditions of zones");
        }

        int zone = int.Parse(options.GetValueOrDefault("zone", "0"), CultureInfo.InvariantCulture);
        var condition = what switch { "readonly" => ZoneCondition.ReadOnly, "offline" => ZoneCondition.Offline, _ => ZoneCondition.Empty };
        await attributes.SetConditionAsync(zone, condition);
        subsystem.ZoneChanged(ns, zone);
        return $"ok: zone {zone} is {what}";
    }

    private async Task RunAsync()
    {
        while (true)
        {
            try
            {
                using var client = await _listener.AcceptAsync();
                await using var stream = new NetworkStream(client);
                using var limit = new CancellationTokenSource(Patience);
                byte[] line = new byte[MaxLine];
                int length = 0, got;
                while (length < line.Length && (got = await stream.ReadAsync(line.AsMemory(length), limit.Token)) > 0
                    && line.AsSpan(0, length += got).IndexOf((byte)'\n') < 0)
                {
                }

                string text = Encoding.UTF8.GetString(line, 0, length).Trim();
                string answer = await ExecuteAsync(text);
                _log.Write("control", ("line", text), ("answer", answer));
                await stream.WriteAsync(Encoding.UTF8.GetBytes(answer + "\n"), limit.Token);
            }
            catch (Exception e) when (e is IOException or OperationCanceledException)
            {
                // that client left
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return;
            }
        }
    }
}
