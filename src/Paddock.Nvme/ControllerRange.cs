namespace Paddock.Nvme;

/// <summary>
/// Identifiers that a server gives to its controllers. Servers of one subsystem have ranges that do not overlap: a host with paths to
/// several of them, such as Linux, rejects a controller with the identifier of another.
/// </summary>
internal readonly record struct ControllerRange(ushort First, ushort Last)
{
    /// <summary>The greatest number of a server.</summary>
    public const int MaxNode = 15;

    // greater ones have a meaning of their own in Connect
    private const ushort LastId = 0xFFEF;
    private const int NodeShift = 12;

    /// <summary>All identifiers: of a server that shares its subsystems with no other.</summary>
    public static ControllerRange All => new(1, LastId);

    /// <summary>The range of one server among several.</summary>
    /// <param name="node">Number of the server, from 1 to <see cref="MaxNode"/>.</param>
    public static ControllerRange OfNode(int node)
    {
        if (node is < 1 or > MaxNode)
        {
            throw new ArgumentOutOfRangeException(nameof(node), node, $"a server has a number from 1 to {MaxNode}");
        }

        return new((ushort)(node << NodeShift), (ushort)Math.Min(LastId, ((node + 1) << NodeShift) - 1));
    }

    /// <summary>The identifier that follows another one, in turn.</summary>
    public ushort After(ushort id) => id < First || id >= Last ? First : (ushort)(id + 1);
}
