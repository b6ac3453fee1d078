namespace Paddock.VhostUser.Blk;

/// <summary>Scattered data: the readable or writable part of a request.</summary>
internal static class Pieces
{
    /// <summary>Returns a range as contiguous memory.</summary>
    /// <returns>False if the range spans several pieces.</returns>
    public static bool TryGetRun(ReadOnlySpan<Memory<byte>> pieces, long offset, long length, out Memory<byte> run)
    {
        foreach (var piece in pieces)
        {
            if (offset < piece.Length)
            {
                bool whole = length <= piece.Length - offset;
                run = whole ? piece.Slice((int)offset, (int)length) : default;
                return whole;
            }

            offset -= piece.Length;
        }

        run = default;
        return length == 0;
    }

    /// <summary>Copies a range out of the pieces, which must be long enough.</summary>
    public static void Gather(ReadOnlySpan<Memory<byte>> pieces, long offset, Span<byte> to)
    {
        foreach (var piece in pieces)
        {
            if (to.IsEmpty)
            {
                return;
            }

            if (offset >= piece.Length)
            {
                offset -= piece.Length;
                continue;
            }

            var from = piece.Span[(int)offset..];
            int count = Math.Min(from.Length, to.Length);
            from[..count].CopyTo(to);
            to = to[count..];
            offset = 0;
        }
    }

    /// <summary>Copies a range into the pieces, which must be long enough.</summary>
    public static void Scatter(ReadOnlySpan<Memory<byte>> pieces, long offset, ReadOnlySpan<byte> from)
    {
        foreach (var piece in pieces)
        {
            if (from.IsEmpty)
            {
                return;
            }

            if (offset >= piece.Length)
            {
                offset -= piece.Length;
                continue;
            }

            var to = piece.Span[(int)offset..];
            int count = Math.Min(from.Length, to.Length);
            from[..count].CopyTo(to);
            from = from[count..];
            offset = 0;
        }
    }
}
