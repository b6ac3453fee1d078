using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Zoned;

/// <summary>The zone table's part in a change of the size or the layout: the next table, and the header extension that names it.</summary>
/// <param name="table">The present table.</param>
/// <param name="parameters">What the extension holds, but for the table's place.</param>
/// <param name="stored">The next table.</param>
/// <param name="format">Its format.</param>
/// <param name="follow">Makes memory follow once the header names the next table.</param>
internal sealed class ZoneTableSwitch(
    ZonePointerTable table, ZonedParameters parameters, byte[] stored, ZoneTableFormat format,
    Action<ZonedParameters, HostOffset> follow) : IMovedTable
{
    /// <inheritdoc/>
    public HostOffset Offset => table.Offset;

    /// <inheritdoc/>
    public long Length => table.Stored.Length;

    /// <inheritdoc/>
    public ReadOnlyMemory<byte> Next => stored;

    /// <inheritdoc/>
    public bool MustMove => format != table.Format;

    /// <inheritdoc/>
    public HeaderExtension ExtensionAt(HostOffset place) => new(HeaderExtension.Zoned, ZonedExtension.Write(At(place)));

    /// <inheritdoc/>
    public void Switched(HostOffset place) => follow(At(place), place);

    private ZonedParameters At(HostOffset place) => parameters with { TableOffset = (ulong)place.Value };
}
