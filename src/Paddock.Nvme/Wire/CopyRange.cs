using System.Buffers.Binary;

namespace Paddock.Nvme.Wire;

/// <summary>A source range of the Copy command (NVM command set 1.1, figures 39 and 40).</summary>
/// <remarks>
/// <code>
/// 0   4  SNSID, in formats 2 and 3
/// 8   8  SLBA
/// 16  2  NLB, 0's based
/// 22  2  SOPT: fast copy only in bit 15, in formats 2 and 3
/// </code>
/// The rest, up to 32 bytes in formats 0 and 2 and 40 bytes in formats 1 and 3, is about protection information.
/// </remarks>
/// <param name="NamespaceId">Namespace of the source; 0 in formats 0 and 1, where it is that of the command.</param>
/// <param name="StartingLba">First logical block.</param>
/// <param name="BlockCount">Number of logical blocks.</param>
internal readonly record struct CopyRange(uint NamespaceId, ulong StartingLba, int BlockCount)
{
    /// <summary>The last format that is offered.</summary>
    public const int LastFormat = 3;

    /// <summary>Bytes of a range.</summary>
    public static int SizeOf(int format) => (format & 1) == 0 ? 32 : 40;

    /// <summary>Whether a range names a namespace.</summary>
    public static bool HasNamespace(int format) => format >= 2;

    /// <summary>Reads a range.</summary>
    public static CopyRange Read(ReadOnlySpan<byte> from, int format) => new(
        HasNamespace(format) ? BinaryPrimitives.ReadUInt32LittleEndian(from) : 0,
        BinaryPrimitives.ReadUInt64LittleEndian(from[8..]),
        BinaryPrimitives.ReadUInt16LittleEndian(from[16..]) + 1);

    /// <summary>Writes a range.</summary>
    public void WriteTo(Span<byte> to, int format)
    {
        to[..SizeOf(format)].Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(to, HasNamespace(format) ? NamespaceId : 0);
        BinaryPrimitives.WriteUInt64LittleEndian(to[8..], StartingLba);
        BinaryPrimitives.WriteUInt16LittleEndian(to[16..], (ushort)(BlockCount - 1));
    }
}
