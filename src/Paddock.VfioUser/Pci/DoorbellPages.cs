using Microsoft.Win32.SafeHandles;
using Paddock.Nvme.Pcie;
using Paddock.Posix;

namespace Paddock.VfioUser.Pci;

/// <summary>Doorbells in memory that the client maps into the guest: a write there is not reported to anybody.</summary>
internal sealed unsafe class DoorbellPages : IDoorbells, IDisposable
{
    private readonly SharedMemory _memory;

    /// <param name="layout">Layout of the BAR.</param>
    /// <exception cref="IOException">There is no memory or descriptor left.</exception>
    public DoorbellPages(BarLayout layout)
    {
        // the client adds the offset of the area in the region to that of the region in the file
        File = SharedMemory.Create("paddock-doorbells", layout.TableOffset);
        try
        {
            _memory = SharedMemory.Map(File, PcieController.DoorbellOffset, layout.DoorbellBytes);
        }
        catch
        {
            File.Dispose();
            throw;
        }
    }

    /// <summary>The file to map; its first page is unused.</summary>
    public SafeFileHandle File { get; }

    /// <inheritdoc/>
    public uint Read(int index) => Volatile.Read(ref At(index));

    /// <inheritdoc/>
    public void Write(int index, uint value) => Volatile.Write(ref At(index), value);

    /// <inheritdoc/>
    public void Dispose()
    {
        _memory.Dispose();
        File.Dispose();
    }

    private ref uint At(int index)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)(_memory.Length / sizeof(uint)));
        return ref ((uint*)_memory.Start)[index];
    }
}
