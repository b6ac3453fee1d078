using Paddock.Nbd.Wire;

namespace Paddock.Nbd;

/// <summary>What a server says of an export.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Description">A text for people; empty when there is none.</param>
/// <param name="Size">Bytes.</param>
/// <param name="Flags">The transmission flags as they came.</param>
/// <param name="MinimumBlock">Offsets and lengths are multiples of it.</param>
/// <param name="PreferredBlock">The size that costs least; 0 when the server does not say.</param>
/// <param name="MaximumPayload">The longest read or write.</param>
/// <param name="Headers">The form of requests: 0 simple, 1 structured replies, 2 extended headers.</param>
/// <param name="Contexts">The contexts for block status.</param>
public sealed record NbdExportInfo(
    string Name, string Description, long Size, ushort Flags, uint MinimumBlock, uint PreferredBlock, uint MaximumPayload, int Headers,
    IReadOnlyList<string> Contexts)
{
    internal TransmissionFlags Can => (TransmissionFlags)Flags;

    internal HeaderForm Form => (HeaderForm)Headers;
}
