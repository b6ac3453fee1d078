namespace Paddock.Nbd;

/// <summary>The other side sent what the protocol does not allow; the connection is of no further use.</summary>
internal sealed class NbdProtocolException : IOException
{
    /// <param name="structure">The structure that was being read.</param>
    /// <param name="offset">Where in it.</param>
    /// <param name="what">What is wrong there.</param>
    public NbdProtocolException(string structure, long offset, string what)
        : base($"NBD {structure}, byte {offset}: {what}")
    {
        Structure = structure;
        Offset = offset;
    }

    /// <summary>The structure that was being read.</summary>
    public string Structure { get; }

    /// <summary>Where in it, in bytes.</summary>
    public long Offset { get; }

    internal static void Expect(string structure, int offset, ulong wanted, ulong found)
    {
        if (found != wanted)
        {
            throw new NbdProtocolException(structure, offset, $"0x{found:x} stands where 0x{wanted:x} must");
        }
    }

    internal static void ExpectLength(string structure, long wanted, int found)
    {
        if (found != wanted)
        {
            throw new NbdProtocolException(structure, 0, $"{found} bytes came where {wanted} must");
        }
    }

    internal static void ExpectAtLeast(string structure, long wanted, int found)
    {
        if (found < wanted)
        {
            throw new NbdProtocolException(structure, 0, $"{found} bytes came where at least {wanted} must");
        }
    }
}
