using Paddock.Block;

namespace Paddock.Testing;

/// <summary>Helpers for tests of storage that fills up.</summary>
public static class FullDisk
{
    /// <summary>Whether a request succeeds; false if no space is left. Any other failure is thrown.</summary>
    public static async Task<bool> AcceptsAsync(ValueTask request)
    {
        try
        {
            await request;
            return true;
        }
        catch (BlockException e) when (e.Error == BlockError.NoSpace)
        {
            return false;
        }
    }

    /// <summary>Bytes that identify the write that produced them.</summary>
    public static byte[] Filled(int size, int number)
    {
        var bytes = new byte[size];
        Array.Fill(bytes, (byte)(number + 1));
        BitConverter.TryWriteBytes(bytes, number);
        return bytes;
    }
}
