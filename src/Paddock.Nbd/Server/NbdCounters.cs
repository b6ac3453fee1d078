using System.Runtime.CompilerServices;
using Paddock.Nbd.Wire;
using Paddock.Serving;

namespace Paddock.Nbd.Server;

/// <summary>
/// Counts the requests of one connection. The receive loop collects counts without a lock and publishes them once per batch; latencies are
/// counted immediately, from any thread.
/// </summary>
internal sealed class NbdCounters(RequestCounters export, LatencyTable latencies)
{
    private Gathered _requests, _bytes;
    private bool _any;

    /// <summary>
    /// Counts a successful request that started at a <see cref="System.Diagnostics.Stopwatch"/> time. For the receive loop, as
    /// <see cref="Publish"/>.
    /// </summary>
    public void Done(in NbdRequest request, long since)
    {
        var operation = OperationOf(request.Command);
        latencies.Count(operation, since);
        _requests[(int)operation]++;
        _bytes[(int)operation] += BytesOf(request);
        _any = true;
    }

    /// <summary>Counts the request that ends a connection; it has no reply, and so no latency.</summary>
    public void Disconnected()
    {
        _requests[(int)ServedOperation.Other]++;
        _any = true;
    }

    /// <summary>As <see cref="Done"/>, from any thread.</summary>
    public void DoneElsewhere(in NbdRequest request, long since)
    {
        var operation = OperationOf(request.Command);
        latencies.Count(operation, since);
        export.Count(operation, BytesOf(request));
    }

    /// <summary>Counts a failed request, from any thread.</summary>
    public void Failed() => export.CountError();

    /// <summary>Adds the collected counts to the counters of the export.</summary>
    public void Publish()
    {
        if (!_any)
        {
            return;
        }

        for (int i = 0; i < Gathered.Operations; i++)
        {
            if (_requests[i] > 0)
            {
                export.Count((ServedOperation)i, _requests[i], _bytes[i]);
            }
        }

        (_requests, _bytes, _any) = (default, default, false);
    }

    private static long BytesOf(in NbdRequest request) => request.Command is NbdCommand.Read or NbdCommand.Write ? (long)request.Length : 0;

    private static ServedOperation OperationOf(NbdCommand command) => command switch
    {
        NbdCommand.Read => ServedOperation.Read,
        NbdCommand.Write => ServedOperation.Write,
        NbdCommand.Flush => ServedOperation.Flush,
        NbdCommand.Trim => ServedOperation.Trim,
        NbdCommand.WriteZeroes => ServedOperation.Zeroes,
        _ => ServedOperation.Other,
    };

    [InlineArray(Operations)]
    private struct Gathered
    {
        public const int Operations = (int)ServedOperation.Admin + 1;

        private long _first;
    }
}
