using Paddock.Block;

namespace Paddock.Nvme.Host;

/// <summary>A command's connection went before its answer came.</summary>
/// <param name="wasSent">Whether the controller may have got the command.</param>
internal sealed class ConnectionLostException(bool wasSent) : BlockException(BlockError.Io, "the connection to the controller is lost")
{
    /// <summary>False: the controller never saw the command.</summary>
    public bool WasSent => wasSent;
}
