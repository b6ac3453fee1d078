using Paddock.Block.Serving;
using Paddock.Nbd.Wire;

namespace Paddock.Nbd.Server;

/// <summary>
/// What one connection did, gathered without a lock and given to the figures of the server and of the export once a batch; latencies are
/// counted at once, from any thread.
/// </summary>
internal sealed class NbdCounters(NbdStatistics server, NbdStatistics export, LatencyTable latencies)
{
    private long _requests;
    private long _bytesRead;
    private long _bytesWritten;

    /// <summary>A request came. For the receive loop alone, as <see cref="Done"/> and <see cref="Publish"/>.</summary>
    public void Came() => _requests++;

    /// <summary>A request was done that began at a <see cref="System.Diagnostics.Stopwatch"/> time: its bytes count, which those of a failed one do not.</summary>
    public void Done(in NbdRequest request, long since)
    {
        latencies.Count(NbdStatistics.KindOf(request.Command), since);
        _bytesRead += request.Command == NbdCommand.Read ? (long)request.Length : 0;
        _bytesWritten += request.Command == NbdCommand.Write ? (long)request.Length : 0;
    }

    /// <summary>As <see cref="Done"/>, from any thread.</summary>
    public void DoneElsewhere(in NbdRequest request, long since)
    {
        latencies.Count(NbdStatistics.KindOf(request.Command), since);
        long read = request.Command == NbdCommand.Read ? (long)request.Length : 0, written = request.Command == NbdCommand.Write ? (long)request.Length : 0;
        if (read + written > 0)
        {
            server.Add(0, read, written);
            export.Add(0, read, written);
        }
    }

    /// <summary>A request was refused.</summary>
    public void Failed()
    {
        server.Fail();
        export.Fail();
    }

    public void Publish()
    {
        if (_requests + _bytesRead + _bytesWritten != 0)
        {
            server.Add(_requests, _bytesRead, _bytesWritten);
            export.Add(_requests, _bytesRead, _bytesWritten);
            _requests = _bytesRead = _bytesWritten = 0;
        }
    }
}
