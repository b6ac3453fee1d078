namespace Paddock.Qcow2.Engine;

/// <summary>
/// A part of an image that a flush writes. Called under the image's metadata mutex. A stage that fails keeps what it had to write:
/// it is due again in the next flush.
/// </summary>
internal interface IFlushStage
{
    /// <summary>True when there is something to write.</summary>
    bool IsDue { get; }

    /// <summary>A flush begins: it covers what has happened by now. Nothing is written yet.</summary>
    void Begin();

    /// <summary>Writes what is due.</summary>
    ValueTask WriteAsync();
}
