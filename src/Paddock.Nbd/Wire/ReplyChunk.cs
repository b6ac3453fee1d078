namespace Paddock.Nbd.Wire;

/// <summary>The head of a chunk of a reply, whichever header it came in.</summary>
/// <param name="IsLast">Whether the reply ends with it.</param>
/// <param name="Type">What it holds.</param>
/// <param name="Cookie">The request's.</param>
/// <param name="Offset">The request's offset; 0 where the header has none.</param>
/// <param name="Length">Bytes of payload that follow.</param>
internal readonly record struct ReplyChunk(bool IsLast, ChunkType Type, ulong Cookie, ulong Offset, ulong Length)
{
    /// <summary>The flag by which a header says that it is the last.</summary>
    public const ushort DoneFlag = 1;

    /// <summary>Whether it reports an error.</summary>
    public bool IsError => ((ushort)Type & 0x8000) != 0;
}
