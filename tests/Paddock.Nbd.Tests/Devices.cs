using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Nbd.Tests;

/// <summary>Devices to export.</summary>
internal static class Devices
{
    /// <summary>A device of any size that accepts whole blocks only; it yields, so that requests interleave.</summary>
    public static TestDevice Blocks(long size, int block = 1) => Blocks(MemoryDisk.Of(size), size, block);

    /// <summary>The same over a device that the test can inspect.</summary>
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

                // a discard is a hint: ignored here
                if (request.Call != DeviceCall.Discard)
                {
                    await run();
                }
            },
        };

    /// <summary>Requests received by a device, as text.</summary>
    public static string[] Asked(this TestDevice device) => [.. device.Requests.Select(r => $"{r}")];
}
