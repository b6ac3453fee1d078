using Paddock.Nbd.Wire;

namespace Paddock.Nbd;

/// <summary>What a server, or one export of it, has done since it began; each figure only grows, but for <see cref="Connections"/>.</summary>
public sealed class NbdStatistics
{
    private long _requests;
    private long _bytesRead;
    private long _bytesWritten;
    private long _errors;
    private long _accepted;
    private long _refused;
    private int _connections;

    /// <summary>The kinds by which latencies are counted.</summary>
    public static IReadOnlyList<string> Kinds { get; } = ["read", "write", "flush", "trim", "zeroes", "other"];

    /// <summary>Requests that were answered with an error.</summary>
    public long Errors => Interlocked.Read(ref _errors);

    /// <summary>Connections at this moment.</summary>
    public int Connections => Volatile.Read(ref _connections);

    /// <summary>Connections that were taken.</summary>
    public long Accepted => Interlocked.Read(ref _accepted);

    /// <summary>Connections that ended because the client broke the protocol, failed TLS, or took too long.</summary>
    public long Refused => Interlocked.Read(ref _refused);

    /// <summary>Requests that were taken, refused ones among them.</summary>
    public long Requests => Interlocked.Read(ref _requests);

    /// <summary>Bytes that clients read; requests that failed do not count.</summary>
    public long BytesRead => Interlocked.Read(ref _bytesRead);

    /// <summary>Bytes that clients wrote; requests that failed do not count.</summary>
    public long BytesWritten => Interlocked.Read(ref _bytesWritten);

    internal void Add(long requests, long bytesRead, long bytesWritten)
    {
        Interlocked.Add(ref _requests, requests);
        Interlocked.Add(ref _bytesRead, bytesRead);
        Interlocked.Add(ref _bytesWritten, bytesWritten);
    }

    internal static int KindOf(NbdCommand command) => command switch
    {
        NbdCommand.Read => 0,
        NbdCommand.Write => 1,
        NbdCommand.Flush => 2,
        NbdCommand.Trim => 3,
        NbdCommand.WriteZeroes => 4,
        _ => 5,
    };

    internal void Fail() => Interlocked.Increment(ref _errors);

    internal void Came()
    {
        Interlocked.Increment(ref _accepted);
        Interlocked.Increment(ref _connections);
    }

    internal int Left() => Interlocked.Decrement(ref _connections);

    internal void Refuse() => Interlocked.Increment(ref _refused);
}
