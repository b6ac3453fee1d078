using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Zoned;

/// <summary>The zone table's part in a change of the size or the layout: the next table, and the header extension that names it.</summary>
/// <param name="state">The zones; they follow when the header names the next table.</param>
/// <param name="guard">Told where the table is.</param>
/// <param name="parameters">What the extension holds, but for the table's place.</param>
/// <param name="stored">The next table.</param>
/// <param name="format">Its format.</param>
/// <param name="length">The disk's size from then on.</param>
internal sealed class ZoneTableSwitch(
    ZonedState state, MetadataGuard guard, ZonedParameters parameters, byte[] stored, ZoneTableFormat format, long length) : IMovedTable
{
    /// <inheritdoc/>
    public HostOffset Offset => state.Table.Offset;

    /// <inheritdoc/>
    public long Length => state.Table.Stored.Length;

    /// <inheritdoc/>
    public ReadOnlyMemory<byte> Next => stored;

    /// <inheritdoc/>
    public bool MustMove => format != state.Table.Format;

    /// <inheritdoc/>
    public HeaderExtension ExtensionAt(HostOffset place) => new(HeaderExtension.Zoned, ZonedExtension.Write(At(place)));

    /// <inheritdoc/>
    public void Switched(HostOffset place)
    {
        lock (state.Lock)
        {
            state.Follow(At(place), length, stored, format);
            guard.Map.SetRange(MetadataKind.ZoneTable, place, stored.Length);
        }
    }

    private ZonedParameters At(HostOffset place) => parameters with { TableOffset = (ulong)place.Value };
}
