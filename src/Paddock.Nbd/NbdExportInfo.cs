using Paddock.Nbd.Wire;

namespace Paddock.Nbd;

/// <summary>Export information from a server.</summary>
/// <param name="Name">Export name.</param>
/// <param name="Description">Human-readable description; may be empty.</param>
/// <param name="Size">Size in bytes.</param>
/// <param name="Flags">Transmission flags as received.</param>
/// <param name="MinimumBlock">Minimum block size; offsets and lengths are multiples of it.</param>
/// <param name="PreferredBlock">Preferred block size; 0 if the server does not report one.</param>
/// <param name="MaximumPayload">Maximum length of a read or write.</param>
/// <param name="Headers">Form of requests and replies: 0 simple, 1 structured replies, 2 extended headers.</param>
/// <param name="Contexts">Metadata contexts for block status.</param>
public sealed record NbdExportInfo(
    string Name, string Description, long Size, ushort Flags, uint MinimumBlock, uint PreferredBlock, uint MaximumPayload, int Headers,
    IReadOnlyList<string> Contexts)
{
    internal TransmissionFlags Can => (TransmissionFlags)Flags;

    internal HeaderForm Form => (HeaderForm)Headers;
}
