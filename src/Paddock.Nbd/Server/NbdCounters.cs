using Paddock.Nbd.Wire;

namespace Paddock.Nbd.Server;

/// <summary>What one connection did, gathered without a lock and given to the server's figures once a batch.</summary>
internal sealed class NbdCounters(NbdStatistics total)
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

    public void Publish()
    {
        if (_requests != 0)
        {
            total.Add(_requests, _bytesRead, _bytesWritten);
            _requests = _bytesRead = _bytesWritten = 0;
        }
    }
}
