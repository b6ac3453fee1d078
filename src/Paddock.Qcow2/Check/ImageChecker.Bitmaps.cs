using System.Buffers.Binary;

namespace Paddock.Qcow2.Check;

/// <summary>Persistent bitmaps: directory, tables and data clusters are counted; their contents are not looked into.</summary>
internal sealed partial class ImageChecker
{
    private const uint BitmapsExtension = 0x23852875;

    /// <summary>Most bytes of bitmap tables of one image; each byte of table stands for some GiB of disk.</summary>
    private const long MaxBitmapTableBytes = 256 << 20;

    private const long MaxBitmapDirectoryBytes = 64 << 20;

    private async ValueTask CountBitmapsAsync()
    {
        // without autoclear bit 0 the extension is stale, and what it names is free
        if ((image.Autoclear & 1) == 0 || !image.Extensions.TryGetValue(BitmapsExtension, out var extension) || extension.Length < 24)
        {
            return;
        }

        uint count = BinaryPrimitives.ReadUInt32BigEndian(extension);
        ulong bytes = BinaryPrimitives.ReadUInt64BigEndian(extension.AsSpan(8));
        ulong offset = BinaryPrimitives.ReadUInt64BigEndian(extension.AsSpan(16));
        if (count == 0)
        {
            return;
        }

        if (bytes > MaxBitmapDirectoryBytes || offset > (ulong)_fileLength)
        {
            SayCorruption($"ERROR bitmap directory at 0x{offset:x} of 0x{bytes:x} bytes lies outside the image");
            return;
        }

        Reference((long)offset, (long)bytes);
        var directory = new byte[bytes];
        await _storage.ReadAsync((long)offset, directory, cancellationToken);
        long budget = MaxBitmapTableBytes;
        int at = 0;
        for (uint i = 0; i < count; i++)
        {
            if (at + 24 > directory.Length)
            {
                SayCorruption($"ERROR bitmap directory ends before entry {i} of {count}");
                return;
            }

            long table = BinaryPrimitives.ReadInt64BigEndian(directory.AsSpan(at));
            long tableBytes = BinaryPrimitives.ReadUInt32BigEndian(directory.AsSpan(at + 8)) * 8L;
            int name = BinaryPrimitives.ReadUInt16BigEndian(directory.AsSpan(at + 18));
            long extra = BinaryPrimitives.ReadUInt32BigEndian(directory.AsSpan(at + 20));
            at = (int)Math.Min(int.MaxValue - 64, (at + 24 + extra + name + 7) & ~7L);
            budget -= tableBytes;
            if (budget < 0)
            {
                SayCorruption($"ERROR bitmap {i}: bitmap tables take more than 0x{MaxBitmapTableBytes:x} bytes");
                return;
            }

            await CountBitmapTableAsync(table, tableBytes);
        }
    }

    private async ValueTask CountBitmapTableAsync(long offset, long bytes)
    {
        Reference(offset, bytes);
        if (offset < 0 || offset >= _fileLength)
        {
            return;
        }

        var table = new byte[bytes];
        await _storage.ReadAsync(offset, table, cancellationToken);
        for (int i = 0; i < table.Length; i += 8)
        {
            ulong entry = BinaryPrimitives.ReadUInt64BigEndian(table.AsSpan(i));
            long cluster = (long)(entry & OffsetMask);
            if ((entry & 0xff00_0000_0000_01fe) != 0 || (cluster != 0 && (entry & 1) != 0) || (cluster & (image.ClusterSize - 1)) != 0)
            {
                _report.Corruptions++;
            }
            else if (cluster != 0)
            {
                Reference(cluster, image.ClusterSize);
            }
        }
    }
}
