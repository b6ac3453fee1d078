using Paddock.Block;

namespace Paddock.Nbd.Server;

/// <summary>Status of a run of bytes in a backing chain, from the first layer that defines it.</summary>
/// <param name="Length">Length of the run in bytes.</param>
/// <param name="Flags">Status flags.</param>
/// <param name="Depth">Number of the layer that defines it, 1 for the top; 0 if none does.</param>
internal readonly record struct ExportStatus(long Length, BlockStatusFlags Flags, uint Depth)
{
    public bool IsZero => (Flags & BlockStatusFlags.Zero) != 0 || Depth == 0;

    public bool IsHole => (Flags & BlockStatusFlags.Data) == 0;

    /// <summary>Returns the run at an offset inside the device.</summary>
    public static async ValueTask<ExportStatus> QueryAsync(IBlockDevice device, long offset, long length)
    {
        for (uint depth = 1; ; depth++)
        {
            if (offset >= device.Length)
            {
                // beyond the end of a backing image shorter than its overlay: zeroes
                return new ExportStatus(length, BlockStatusFlags.Zero, 0);
            }

            var status = await device.GetStatusAsync(offset, Math.Min(length, device.Length - offset));
            length = Math.Max(1, Math.Min(length, status.Length));
            if ((status.Flags & BlockStatusFlags.Allocated) != 0)
            {
                return new ExportStatus(length, status.Flags, depth);
            }

            if (device.Backing is null)
            {
                return new ExportStatus(length, status.Flags, 0);
            }

            device = device.Backing;
        }
    }
}
