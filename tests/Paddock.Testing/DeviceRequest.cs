using Paddock.Block;

namespace Paddock.Testing;

/// <summary>Kinds of request to a <see cref="TestDevice"/>.</summary>
public enum DeviceCall
{
    Read,
    Write,
    WriteZeroes,
    Discard,
    Flush,
    Resize,
    Status,
    Dispose,
    Report,
    Manage,
    Append,
    Commit,
}

/// <summary>Request to a <see cref="TestDevice"/>.</summary>
/// <param name="Call">Kind of request.</param>
/// <param name="Offset">First byte; for an append, the start of the zone; for a commit, its end.</param>
/// <param name="Length">Number of bytes; for a resize, the new size.</param>
/// <param name="Fua">Whether the request must be durable.</param>
/// <param name="Zero">Flags of a write-zeroes request.</param>
/// <param name="Action">Action of a zone management request.</param>
/// <param name="Observer">Observer of an append.</param>
public readonly record struct DeviceRequest(
    DeviceCall Call, long Offset = 0, long Length = 0, WriteFlags Fua = 0, ZeroFlags Zero = 0, ZoneAction Action = 0,
    IAppendObserver? Observer = null)
{
    /// <inheritdoc/>
    public override string ToString() => Call switch
    {
        DeviceCall.Flush => "flush",
        DeviceCall.Write => $"write {Offset} {Length} {Fua}",
        DeviceCall.WriteZeroes => $"zero {Offset} {Length} {Zero}",
        _ => $"{Call} {Offset} {Length}".ToLowerInvariant(),
    };
}
