using System.Net;
using System.Net.Sockets;

namespace Paddock.Block;

/// <summary>Addresses of Unix sockets by the bytes of their names (<see cref="ByteText"/>).</summary>
internal static class UnixAddress
{
    private const int NameAt = sizeof(ushort);

    /// <summary>The address of the socket at a path.</summary>
    /// <exception cref="ArgumentException">The path is longer than an address holds.</exception>
    public static EndPoint Of(string path)
    {
        var usual = new UnixDomainSocketEndPoint(path);
        if (!path.AsSpan().ContainsAnyInRange('\udc80', '\udcff'))
        {
            return usual;
        }

        byte[] name = ByteText.ToPath(path);
        var address = new SocketAddress(AddressFamily.Unix, NameAt + name.Length);
        name.CopyTo(address.Buffer[NameAt..]);
        return usual.Create(address);
    }
}
