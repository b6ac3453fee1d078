using Paddock.Block;

namespace Paddock.Nvme.Host;

/// <summary>The connection of a command was lost before the reply arrived.</summary>
/// <param name="wasSent">Whether the controller may have received the command.</param>
internal sealed class ConnectionLostException(bool wasSent) : BlockException(BlockError.Io, "the connection to the controller is lost")
{
    /// <summary>False: the controller never saw the command.</summary>
    public bool WasSent => wasSent;
}
