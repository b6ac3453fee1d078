namespace Paddock.VhostUser;

/// <summary>The front end sent what the protocol does not allow; the connection is of no further use.</summary>
internal sealed class VhostUserException : IOException
{
    /// <param name="structure">The structure that was being read.</param>
    /// <param name="offset">Where in it, in bytes.</param>
    /// <param name="what">What is wrong there.</param>
    public VhostUserException(string structure, int offset, string what)
        : base($"vhost-user {structure}, byte {offset}: {what}")
    {
        Structure = structure;
        Offset = offset;
    }

    /// <summary>The structure that was being read.</summary>
    public string Structure { get; }

    /// <summary>Where in it, in bytes.</summary>
    public int Offset { get; }

    internal static void ExpectLength(string structure, int wanted, int found)
    {
        if (found != wanted)
        {
            throw new VhostUserException(structure, 0, $"{found} bytes came where {wanted} must");
        }
    }
}
