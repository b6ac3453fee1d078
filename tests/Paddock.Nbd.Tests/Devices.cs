using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Nbd.Tests;

/// <summary>Devices that a server shows.</summary>
internal static class Devices
{
    /// <summary>Any size, and requests in whole blocks alone; others get in between a read and the write that follows it.</summary>
    public static TestDevice Blocks(long size, int block = 1) => Blocks(MemoryDisk.Of(size), size, block);

    /// <summary>The same over bytes that a test looks at.</summary>
    public static TestDevice Blocks(RawDevice bytes, long size, int block)
        => new(bytes, new BlockLimits(block, 1 << 20, 0), length: () => size)
        {
            Status = static (_, length) => new BlockStatus(length, BlockStatusFlags.Data | BlockStatusFlags.Allocated),
            Around = async (request, run) =>
            {
                if (((request.Offset | request.Length) & (block - 1)) != 0 || request.Offset + request.Length > size)
                {
                    throw new BlockException(BlockError.InvalidArgument, $"{request}: not in blocks of {block}, or not inside");
                }

                if (request.Call is DeviceCall.Read or DeviceCall.Write)
                {
                    await Task.Yield();
                }

                // a hint, which is not followed
                if (request.Call != DeviceCall.Discard)
                {
                    await run();
                }
            },
        };

    /// <summary>What a device was asked, in words.</summary>
    public static string[] Asked(this TestDevice device) => [.. device.Requests.Select(r => $"{r}")];
}
