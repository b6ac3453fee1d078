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
