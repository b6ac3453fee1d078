using Paddock.Block;

namespace Paddock.Images.Nodes;

/// <summary>A namespace of a remote subsystem.</summary>
/// <param name="Id">Its identifier.</param>
/// <param name="Size">Size in bytes.</param>
/// <param name="BlockSize">Bytes of a logical block.</param>
/// <param name="IsReadOnly">Whether it is write protected.</param>
/// <param name="Zones">Its zones; null: none.</param>
internal sealed record NvmeNamespaceInfo(uint Id, long Size, int BlockSize, bool IsReadOnly, ZonedLimits? Zones);
