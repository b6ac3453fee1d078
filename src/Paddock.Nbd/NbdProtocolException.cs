namespace Paddock.Nbd;

/// <summary>The peer violated the protocol; the connection cannot be used further.</summary>
internal sealed class NbdProtocolException : IOException
{
    /// <param name="structure">Name of the structure being parsed.</param>
    /// <param name="offset">Offset in the structure, in bytes.</param>
    /// <param name="what">Description of the error.</param>
    public NbdProtocolException(string structure, long offset, string what)
        : base($"NBD {structure}, byte {offset}: {what}")
    {
        Structure = structure;
        Offset = offset;
    }

    /// <summary>Name of the structure being parsed.</summary>
    public string Structure { get; }

    /// <summary>Offset in the structure, in bytes.</summary>
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
