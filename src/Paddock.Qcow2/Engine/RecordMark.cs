using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// The feature bit that keeps programs off an image in which data lie behind the zone table. Under the image's metadata mutex.
/// </summary>
internal sealed class RecordMark(ImageHeader header)
{
    /// <summary>Whether the storage may have such data.</summary>
    public bool IsLive { get; set; }

    /// <summary>Whether the bit is set.</summary>
    public bool IsSet => header.Has(IncompatibleFeatures.ZoneData);

    /// <summary>Sets the bit, durably.</summary>
    public ValueTask SetAsync()
        => header.PutAsync(header.Fields with { Incompatible = header.Fields.Incompatible | IncompatibleFeatures.ZoneData });

    /// <summary>Clears the bit, durably, if everything is in its place, durably.</summary>
    public ValueTask EndAsync()
        => !IsSet || IsLive ? default
            : header.PutAsync(header.Fields with { Incompatible = header.Fields.Incompatible & ~IncompatibleFeatures.ZoneData });
}
