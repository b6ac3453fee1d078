using System.Buffers.Binary;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Check.Passes;

/// <summary>Counts the LUKS header and its key material. Their contents are not checked.</summary>
internal sealed class EncryptionHeaderPass(CheckContext context) : ICheckPass
{
    private const uint ExtensionType = 0x0537be77;
    private const ulong MaxBytes = 64 << 20;

    public ValueTask RunAsync(CancellationToken cancellationToken)
    {
        if (!context.Image.Extensions.TryGetValue(ExtensionType, out var extension) || extension.Length < 16)
        {
            return default;
        }

        ulong offset = BinaryPrimitives.ReadUInt64BigEndian(extension), bytes = BinaryPrimitives.ReadUInt64BigEndian(extension.AsSpan(8));
        if (bytes > MaxBytes || offset > (ulong)context.FileLength)
        {
            context.ReportCorruption($"ERROR encryption header at 0x{offset:x} of 0x{bytes:x} bytes lies outside the image");
        }
        else if (bytes > 0)
        {
            context.Count(new HostOffset((long)offset), (long)bytes);
        }

        return default;
    }
}
