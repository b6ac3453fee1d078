using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Paddock.Posix.Tests;

/// <summary>Copies from and to memory that may be missing, and the limit of mappings.</summary>
public sealed class GuardedCopyTests : IDisposable
{
    private const int Length = 1 << 20;

    private readonly string _path = Path.GetTempFileName();

    [Fact]
    public void Copies_of_mapped_memory_succeed()
    {
        Assert.True(GuardedCopy.IsAvailable);
        using var file = SharedMemory.Create("guarded", Length);
        using var memory = SharedMemory.Map(file, 0, Length);
        Assert.False(memory.MayFault);
        byte[] data = new byte[2 * 4096];
        new Random(1).NextBytes(data);
        byte[] back = new byte[data.Length];
        Assert.True(GuardedCopy.TryWrite(memory.Start + 100, data));
        Assert.True(GuardedCopy.TryRead(memory.Start + 100, back));
        Assert.Equal(data, back);
    }

    [Fact]
    public void Copies_of_a_truncated_file_fail()
    {
        using var file = File.OpenHandle(_path, FileMode.Open, FileAccess.ReadWrite);
        RandomAccess.SetLength(file, Length);
        using var memory = SharedMemory.Map(file, 0, Length);
        Assert.True(memory.MayFault);
        byte[] data = new byte[8192];
        Assert.True(GuardedCopy.TryWrite(memory.Start + Length - data.Length, data));
        RandomAccess.SetLength(file, Length - 4096);
        Assert.False(GuardedCopy.TryRead(memory.Start + Length - data.Length, data));
        Assert.False(GuardedCopy.TryWrite(memory.Start + Length - 1, [1]));
        Assert.True(GuardedCopy.TryRead(memory.Start, data));
    }

    // huge pages need not be reserved: the memory is refused before it is mapped
    [Fact]
    public void Huge_pages_may_be_missing_although_the_file_is_sealed()
    {
        const uint hugePages = 4;
        const int notSupported = 38, invalid = 22;
        int descriptor = Native.CreateMemory("huge", Native.MemoryCloseOnExec | Native.MemorySealing | hugePages);
        if (descriptor < 0)
        {
            // this kernel has no huge pages, so no client can have them
            Assert.Contains(Marshal.GetLastPInvokeError(), (int[])[notSupported, invalid]);
            return;
        }

        using var file = new SafeFileHandle(descriptor, ownsHandle: true);
        RandomAccess.SetLength(file, 64 << 20);
        var e = Assert.Throws<IOException>(() => SharedMemory.Map(file, 0, Length, mustBeSealed: true));
        Assert.Contains("has huge pages", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Mappings_beyond_either_limit_are_refused()
    {
        var budget = new MappingBudget(2, 10_000);
        Assert.True(budget.TryTake(4096));
        Assert.False(budget.TryTake(8192));
        Assert.True(budget.TryTake(1));
        Assert.False(budget.TryTake(1));
        budget.Return(4096);
        Assert.True(budget.TryTake(8192));
    }

    public void Dispose() => File.Delete(_path);
}
