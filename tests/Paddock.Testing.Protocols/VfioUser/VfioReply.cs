using Microsoft.Win32.SafeHandles;
using Paddock.VfioUser.Wire;

namespace Paddock.Testing.Protocols.VfioUser;

/// <summary>A reply of the server.</summary>
internal sealed record VfioReply(MessageHeader Header, byte[] Payload, SafeFileHandle[] Descriptors)
{
    /// <summary>Error number; 0: none.</summary>
    public int Error => Header.IsError ? (int)Header.Error : 0;
}
