using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>A table that changes together with the size of the disk, and the header extension that names it: the zone table.</summary>
internal interface IMovedTable
{
    /// <summary>Where the table is, and for how long.</summary>
    HostOffset Offset { get; }

    /// <summary>Its length in bytes.</summary>
    long Length { get; }

    /// <summary>The table that replaces it.</summary>
    ReadOnlyMemory<byte> Next { get; }

    /// <summary>True when the present table must stay as it is until the header names the next one.</summary>
    bool MustMove { get; }

    /// <summary>The header extension that names the next table.</summary>
    HeaderExtension ExtensionAt(HostOffset place);

    /// <summary>
    /// The header has the new size and names the next table: both hold from now on, whatever fails later. Called under the metadata mutex.
    /// </summary>
    void Switched(HostOffset place);
}
