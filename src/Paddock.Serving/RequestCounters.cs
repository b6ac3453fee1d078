namespace Paddock.Serving;

/// <summary>Requests that were answered, by operation, and the bytes that they moved. Every member may be used from any thread.</summary>
internal sealed class RequestCounters
{
    /// <summary>Number of <see cref="ServedOperation"/> values.</summary>
    internal const int Operations = (int)ServedOperation.Admin + 1;

    private readonly long[] _succeeded = new long[Operations];
    private long _errors, _bytesRead, _bytesWritten;

    /// <summary>Requests that succeeded.</summary>
    public long this[ServedOperation operation] => Volatile.Read(ref _succeeded[(int)operation]);

    /// <summary>Requests that failed.</summary>
    public long Errors => Volatile.Read(ref _errors);

    /// <summary>Requests that were answered, with success or not.</summary>
    public long Requests => Sum(Enum.GetValues<ServedOperation>()) + Errors;

    /// <summary>Bytes that successful requests read.</summary>
    public long BytesRead => Volatile.Read(ref _bytesRead);

    /// <summary>Bytes that successful requests wrote.</summary>
    public long BytesWritten => Volatile.Read(ref _bytesWritten);

    /// <summary>Requests of some operations that succeeded.</summary>
    public long Sum(params ReadOnlySpan<ServedOperation> operations)
    {
        long sum = 0;
        foreach (var operation in operations)
        {
            sum += this[operation];
        }

        return sum;
    }

    /// <summary>Counts a request that succeeded.</summary>
    /// <param name="operation">The operation.</param>
    /// <param name="bytes">Bytes that it read, if it is a read; else bytes that it wrote.</param>
    public void Count(ServedOperation operation, long bytes = 0) => Count(operation, 1, bytes);

    /// <summary>Counts several requests at once that succeeded.</summary>
    public void Count(ServedOperation operation, long requests, long bytes)
    {
        Interlocked.Add(ref _succeeded[(int)operation], requests);
        if (bytes != 0)
        {
            Interlocked.Add(ref operation == ServedOperation.Read ? ref _bytesRead : ref _bytesWritten, bytes);
        }
    }

    /// <summary>Counts a request that failed.</summary>
    public void CountError() => Interlocked.Increment(ref _errors);
}
