namespace Paddock.Testing;

/// <summary>Byte array of any length that holds written data and is zero elsewhere.</summary>
public sealed class SparseBytes
{
    private const int Page = 4096;

    private readonly Dictionary<long, byte[]> _pages = [];

    public void Write(long offset, ReadOnlySpan<byte> data)
    {
        while (data.Length > 0)
        {
            int at = (int)(offset % Page), count = Math.Min(data.Length, Page - at);
            if (!_pages.TryGetValue(offset / Page, out var page))
            {
                _pages[offset / Page] = page = new byte[Page];
            }

            data[..count].CopyTo(page.AsSpan(at));
            offset += count;
            data = data[count..];
        }
    }

    public void Clear(long offset, long length)
    {
        long end = offset + length;
        foreach (long index in _pages.Keys.Where(i => (i + 1) * Page > offset && i * Page < end).ToArray())
        {
            long from = Math.Max(offset, index * Page), to = Math.Min(end, (index + 1) * Page);
            if (to - from == Page)
            {
                _pages.Remove(index);
            }
            else
            {
                _pages[index].AsSpan((int)(from - (index * Page)), (int)(to - from)).Clear();
            }
        }
    }

    public byte[] Read(long offset, int length)
    {
        var bytes = new byte[length];
        for (int done = 0; done < length;)
        {
            int at = (int)((offset + done) % Page), count = Math.Min(length - done, Page - at);
            if (_pages.TryGetValue((offset + done) / Page, out var page))
            {
                page.AsSpan(at, count).CopyTo(bytes.AsSpan(done));
            }

            done += count;
        }

        return bytes;
    }
}
