using Paddock.Block;

namespace Paddock.Qcow2.Engine;

/// <summary>The file that holds an image's guest data, each byte at its offset on the disk. It is not reference-counted.</summary>
/// <param name="Storage">The file.</param>
/// <param name="IsRaw">Whether it must read as the disk does, without the image's tables (autoclear bit 1).</param>
internal sealed record ExternalData(IStorage Storage, bool IsRaw);
