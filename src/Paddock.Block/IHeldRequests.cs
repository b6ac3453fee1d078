namespace Paddock.Block;

/// <summary>Requests that wait before a device and can still be cancelled there, as fault rules hold them.</summary>
internal interface IHeldRequests
{
    /// <summary>Raised when a request has begun to be held.</summary>
    event Action? Held;

    /// <summary>Cancels a request while it is held: it fails with <see cref="BlockError.Cancelled"/>.</summary>
    /// <param name="request">The source of the token that it was made with; cancelled if the request is held.</param>
    /// <returns>False when nothing holds it: it runs to its end, and the source is left alone.</returns>
    bool CancelHeld(CancellationTokenSource request);
}
