using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>Makes an image name another backing file, or none.</summary>
internal sealed class BackingChange(ImageHeader header, EngineLocks locks, WriteSession session, FlushOrder order, HeaderRewrite rewrite)
{
    /// <summary>Flushes the image, then replaces name and format durably. The open image continues to read its old backing file.</summary>
    /// <param name="name">Name of the backing file; null: none.</param>
    /// <param name="format">Its format; null: it is not named.</param>
    /// <exception cref="BlockException">The name or the format is too long, or a write failed.</exception>
    public async ValueTask RunAsync(string? name, string? format)
    {
        session.EnsureWritable();
        var bytes = format is null || name is null ? [] : ByteText.ToBytes(format);
        if (bytes.Length > Qcow2Limits.MaxBackingFormatBytes)
        {
            throw new BlockException(
                BlockError.InvalidArgument,
                $"the backing format '{EscapedText.Escape(format!)}' is longer than {Qcow2Limits.MaxBackingFormatBytes} bytes");
        }

        if (name is not null && (header.Fields.Autoclear & AutoclearFeatures.RawExternalData) != 0)
        {
            throw new BlockException(
                BlockError.InvalidArgument, "an image whose data file is raw (data_file_raw) cannot have a backing file");
        }

        await session.StartAsync();
        await locks.Metadata.AcquireAsync();
        try
        {
            await order.RunAsync();
            var extensions = header.Extensions.Where(static e => e.Type != HeaderExtension.BackingFormat).ToList();
            if (bytes.Length > 0)
            {
                extensions.Add(new HeaderExtension(HeaderExtension.BackingFormat, bytes));
            }

            await rewrite.RunAsync(header.Fields, extensions, name);
        }
        finally
        {
            locks.Metadata.Release();
        }
    }
}
