namespace Paddock.VfioUser.Memory;

/// <summary>Access to memory that is not mapped here: the client copies on request.</summary>
internal interface IDmaMessages
{
    /// <summary>Copies from the client's memory; waits for its reply.</summary>
    /// <returns>False if the client rejected it, or the session has ended.</returns>
    bool TryRead(ulong address, Span<byte> to);

    /// <summary>Copies to the client's memory; waits for its reply.</summary>
    /// <returns>False if the client rejected it, or the session has ended.</returns>
    bool TryWrite(ulong address, ReadOnlySpan<byte> from);

    /// <summary>Fails the requests in flight, and new ones until <see cref="Resume"/>. Calls nest.</summary>
    void Suspend();

    /// <summary>Permits requests after <see cref="Suspend"/>.</summary>
    void Resume();
}
