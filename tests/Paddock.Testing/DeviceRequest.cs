using Paddock.Block;

namespace Paddock.Testing;

/// <summary>What a <see cref="TestDevice"/> is asked to do.</summary>
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
}

/// <summary>A request to a <see cref="TestDevice"/>.</summary>
/// <param name="Call">What it is.</param>
/// <param name="Offset">First byte; of an append the zone's start.</param>
/// <param name="Length">Number of bytes; of a resize the new size.</param>
/// <param name="Fua">Whether it must be durable.</param>
/// <param name="Zero">Flags of a write of zeroes.</param>
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
