namespace Paddock.VhostUser;

/// <summary>The front end violated the protocol; the connection cannot be used further.</summary>
internal sealed class VhostUserException : IOException
{
    /// <param name="structure">Name of the structure being parsed.</param>
    /// <param name="offset">Offset in the structure, in bytes.</param>
    /// <param name="what">Description of the error.</param>
    public VhostUserException(string structure, int offset, string what)
        : base($"vhost-user {structure}, byte {offset}: {what}")
    {
        Structure = structure;
        Offset = offset;
    }

    /// <summary>Name of the structure being parsed.</summary>
    public string Structure { get; }

    /// <summary>Offset in the structure, in bytes.</summary>
    public int Offset { get; }

    internal static void ExpectLength(string structure, int wanted, int found)
    {
        if (found != wanted)
        {
            throw new VhostUserException(structure, 0, $"{found} bytes came where {wanted} must");
        }
    }
}
