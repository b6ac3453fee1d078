using Paddock.Block;

namespace Paddock.Testing;

/// <summary>Disks in memory.</summary>
public static class MemoryDisk
{
    /// <summary>A raw disk of this size that reads as zeroes.</summary>
    public static RawDevice Of(long size)
    {
        var storage = new MemoryStorage();
        storage.SetLengthAsync(size).AsTask().Wait();
        return new RawDevice(storage);
    }
}
