namespace Paddock.Serving;

/// <summary>Number of completed requests, by operation, and of bytes transferred. All members are thread-safe.</summary>
internal sealed class RequestCounters
{
    /// <summary>Number of <see cref="ServedOperation"/> values.</summary>
    internal const int Operations = (int)ServedOperation.Admin + 1;

    private readonly long[] _succeeded = new long[Operations];
    private long _errors, _bytesRead, _bytesWritten;

    /// <summary>Number of successful requests.</summary>
    public long this[ServedOperation operation] => Volatile.Read(ref _succeeded[(int)operation]);

    /// <summary>Number of failed requests.</summary>
    public long Errors => Volatile.Read(ref _errors);

    /// <summary>Number of completed requests, successful or failed.</summary>
    public long Requests => Sum(Enum.GetValues<ServedOperation>()) + Errors;

    /// <summary>Number of bytes read by successful requests.</summary>
    public long BytesRead => Volatile.Read(ref _bytesRead);

    /// <summary>Number of bytes written by successful requests.</summary>
    public long BytesWritten => Volatile.Read(ref _bytesWritten);

    /// <summary>Number of successful requests of some operations.</summary>
    public long Sum(params ReadOnlySpan<ServedOperation> operations)
    {
        long sum = 0;
        foreach (var operation in operations)
        {
            sum += this[operation];
        }

        return sum;
    }

    /// <summary>Counts a successful request.</summary>
    /// <param name="operation">The operation.</param>
    /// <param name="bytes">Bytes read, for a read; otherwise bytes written.</param>
    public void Count(ServedOperation operation, long bytes = 0) => Count(operation, 1, bytes);

    /// <summary>Counts several successful requests at once.</summary>
    public void Count(ServedOperation operation, long requests, long bytes)
    {
        Interlocked.Add(ref _succeeded[(int)operation], requests);
        if (bytes != 0)
        {
            Interlocked.Add(ref operation == ServedOperation.Read ? ref _bytesRead : ref _bytesWritten, bytes);
        }
    }

    /// <summary>Counts a failed request.</summary>
    public void CountError() => Interlocked.Increment(ref _errors);
}
