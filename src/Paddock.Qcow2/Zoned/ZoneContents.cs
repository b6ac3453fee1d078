using Paddock.Block;

namespace Paddock.Qcow2.Zoned;

/// <summary>What an image keeps of a zone.</summary>
/// <param name="Pointer">The write pointer, as an offset on the disk; of a FULL zone, the start of the next one.</param>
/// <param name="Kept">READ ONLY, OFFLINE, or 0 for a zone whose condition follows from its pointer.</param>
/// <param name="Extension">The zone descriptor extension; null without one.</param>
internal readonly record struct ZoneContents(long Pointer, ZoneCondition Kept, byte[]? Extension);
