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

    public void Count(in NbdRequest request)
    {
        _requests++;
        if (request.Command == NbdCommand.Read)
        {
            _bytesRead += (long)Math.Min(request.Length, NbdLimits.MaxPayload);
        }
        else if (request.Command == NbdCommand.Write)
        {
            _bytesWritten += (long)request.Length;
        }
    }

    /// <summary>A request is answered that began at a <see cref="System.Diagnostics.Stopwatch"/> time.</summary>
    public void Took(NbdCommand command, long since) => latencies.Count(NbdStatistics.KindOf(command), since);

    /// <summary>A request was refused.</summary>
    public void Failed()
    {
        server.Fail();
        export.Fail();
    }

    public void Publish()
    {
        if (_requests != 0)
        {
            server.Add(_requests, _bytesRead, _bytesWritten);
            export.Add(_requests, _bytesRead, _bytesWritten);
            _requests = _bytesRead = _bytesWritten = 0;
        }
    }
}
