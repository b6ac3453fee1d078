namespace Paddock.Block;

/// <summary>
/// Remembers the first failed flush of a storage. An operating system reports a failed write-back once and treats the lost pages as clean
/// from then on, so a later flush that succeeds proves nothing. From the first failure on nothing can be reported durable until the storage
/// is opened again.
/// </summary>
/// <param name="name">The storage's name, for messages.</param>
internal sealed class FlushFailure(string name)
{
    private BlockException? _first;

    /// <summary>The first failure; null while every flush has succeeded.</summary>
    public BlockException? First => Volatile.Read(ref _first);

    /// <summary>Throws the first failure again, if there was one.</summary>
    /// <exception cref="BlockException">An earlier flush failed; error and errno are those of that failure.</exception>
    public void ThrowIfFailed()
    {
        if (Volatile.Read(ref _first) is { } first)
        {
            throw Again(first);
        }
    }

    /// <summary>Remembers a failure if it is the first one.</summary>
    /// <param name="failure">Why the flush failed.</param>
    /// <returns>The same exception, to be thrown.</returns>
    public BlockException Record(BlockException failure)
    {
        Interlocked.CompareExchange(ref _first, failure, null);
        return failure;
    }

    private BlockException Again(BlockException first)
        => new(
            first.Error,
            $"an earlier flush of '{name}' failed ({first.Message}); data written since the last successful flush may be lost: "
            + "reopen it and check the data before writing again",
            first) { Errno = first.Errno };
}
