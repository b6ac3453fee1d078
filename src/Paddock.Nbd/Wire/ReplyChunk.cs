namespace Paddock.Nbd.Wire;

/// <summary>Header of a reply chunk, structured or extended.</summary>
/// <param name="IsLast">Whether it is the last chunk of the reply.</param>
/// <param name="Type">Chunk type.</param>
/// <param name="Cookie">Cookie of the request.</param>
/// <param name="Offset">Offset of the request; 0 if the header has none.</param>
/// <param name="Length">Length of the payload.</param>
internal readonly record struct ReplyChunk(bool IsLast, ChunkType Type, ulong Cookie, ulong Offset, ulong Length)
{
    /// <summary>Flag of the last chunk.</summary>
    public const ushort DoneFlag = 1;

    /// <summary>Whether it reports an error.</summary>
    public bool IsError => ((ushort)Type & 0x8000) != 0;
}
