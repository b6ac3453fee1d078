using System.Buffers.Binary;
using System.Text;

namespace Paddock.VfioUser.Wire;

/// <summary>
/// Version and capabilities ("VFIO_USER_VERSION"), the same in request and reply.
/// <code>
/// offset size
///      0    2  major version
///      2    2  minor version
///      4    n  JSON with a terminating NUL; may be left out
/// </code>
/// </summary>
/// <param name="Major">Major version.</param>
/// <param name="Minor">Minor version.</param>
/// <param name="Capabilities">Capabilities of the sender.</param>
internal readonly record struct VersionMessage(ushort Major, ushort Minor, Capabilities Capabilities)
{
    /// <summary>The major version of this implementation.</summary>
    public const ushort CurrentMajor = 0;

    /// <summary>The minor version of this implementation.</summary>
    public const ushort CurrentMinor = 0;

    private const int MinorAt = sizeof(ushort);
    private const int JsonAt = MinorAt + sizeof(ushort);

    /// <exception cref="RequestFailedException">Too short or too long, or not JSON.</exception>
    public static VersionMessage Parse(ReadOnlySpan<byte> from)
    {
        if (from.Length is < JsonAt or > VfioUserLimits.MaxVersion)
        {
            throw new RequestFailedException(
                ErrorNumber.Invalid, $"a version of {from.Length} bytes: expected {JsonAt} to {VfioUserLimits.MaxVersion}");
        }

        var json = from[JsonAt..];
        int end = json.IndexOf((byte)0);
        return new VersionMessage(
            BinaryPrimitives.ReadUInt16LittleEndian(from), BinaryPrimitives.ReadUInt16LittleEndian(from[MinorAt..]),
            Capabilities.Parse(end < 0 ? json : json[..end]));
    }

    /// <summary>The message as bytes.</summary>
    public byte[] ToBytes()
    {
        byte[] json = Encoding.UTF8.GetBytes(Capabilities.ToJson());
        var bytes = new byte[JsonAt + json.Length + 1];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, Major);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(MinorAt), Minor);
        json.CopyTo(bytes, JsonAt);
        return bytes;
    }
}
