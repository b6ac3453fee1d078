using System.Buffers.Binary;
using Paddock.Block;

namespace Paddock.Qcow2.Tests.Check;

/// <summary>What a repair changes beside reference counts, compared with qemu-img's on the same image.</summary>
public class RepairTests
{
    private const int AutoclearField = 88, IncompatibleField = 72;
    private const ulong Copied = 1UL << 63;

    [Theory]
    [InlineData("all")]
    [InlineData("leaks")]
    public async Task Copied_flags_around_a_bad_entry_are_repaired_as_qemu_repairs_them(string repair)
    {
        using var qemu = new CheckAgainstQemu();
        qemu.Create("16M", "cluster_size=65536");
        qemu.Io("write -P 1 0 1M");
        long l1 = (long)qemu.Read64(40), l2 = (long)(qemu.Read64(l1) & ~Copied);

        // the fourth cluster's entry points where the fifth's does, with reserved bits; the flag of the seventh is missing
        qemu.Patch64(l2 + 24, qemu.Read64(l2 + 32) | 0x200);
        qemu.Patch64(l2 + 48, qemu.Read64(l2 + 48) & ~Copied);
        var storage = await qemu.LoadAsync();
        var kind = repair == "all" ? Qcow2Repair.All : Qcow2Repair.Leaks;
        await Qcow2Image.CheckAsync(storage, kind);
        CheckAgainstQemu.Run("qemu-img", "check", "-r", repair, qemu.Path);
        var theirs = File.ReadAllBytes(qemu.Path).AsSpan((int)l2, 128).ToArray();
        var ours = new byte[128];
        await storage.ReadAsync(l2, ours);
        Assert.Equal(theirs, ours);
        Assert.True(repair == "leaks" || (BinaryPrimitives.ReadUInt64BigEndian(ours.AsSpan(48)) & Copied) != 0);
    }

    [Theory]
    [InlineData("all")]
    [InlineData("leaks")]
    public async Task A_missing_copied_flag_alone_is_repaired_as_qemu_repairs_it(string repair)
    {
        using var qemu = new CheckAgainstQemu();
        qemu.Create("16M", "cluster_size=65536");
        qemu.Io("write -P 1 0 1M");
        long l1 = (long)qemu.Read64(40), l2 = (long)(qemu.Read64(l1) & ~Copied);
        qemu.Patch64(l2 + 48, qemu.Read64(l2 + 48) & ~Copied);
        var storage = await qemu.LoadAsync();
        var report = await Qcow2Image.CheckAsync(storage, repair == "all" ? Qcow2Repair.All : Qcow2Repair.Leaks);
        CheckAgainstQemu.Run("qemu-img", "check", "-r", repair, qemu.Path);
        Assert.Equal(1, report.CorruptionsFixed);
        var ours = new byte[8];
        await storage.ReadAsync(l2 + 48, ours);
        Assert.Equal(qemu.Read64(l2 + 48), BinaryPrimitives.ReadUInt64BigEndian(ours));
    }

    [Theory]
    [InlineData(Qcow2Repair.None, 0xff00_0000_0000_0001)]
    [InlineData(Qcow2Repair.Leaks, 1)]
    [InlineData(Qcow2Repair.All, 1)]
    public async Task A_repair_clears_unknown_autoclear_bits(Qcow2Repair repair, ulong left)
    {
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(storage, new() { Size = 1 << 20 });
        await Write64Async(storage, AutoclearField, 0xff00_0000_0000_0001);
        await Qcow2Image.CheckAsync(storage, repair);
        Assert.Equal(left, await Read64Async(storage, AutoclearField));
    }

    [Theory]
    [InlineData("L2", "Preventing invalid allocation of L2 table at offset 0")]
    [InlineData("data", "Preventing invalid write on metadata (overlaps with qcow2_header)")]
    [InlineData("compressed", "Preventing invalid allocation of compressed cluster at offset 0")]
    public async Task A_header_that_is_counted_as_free_marks_the_image_corrupt_with_qemus_words(string what, string message)
    {
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(storage, new() { Size = 64 << 20 });
        if (what != "L2")
        {
            await using var first = await Qcow2Image.OpenAsync(new KeptStorage(storage), new());
            await first.WriteAsync(0, new byte[] { 1 });
        }

        long table = (long)await Read64Async(storage, 48), block = (long)await Read64Async(storage, table);
        await storage.WriteAsync(block, new byte[2]);
        List<string> said = [];
        await using (var image = await Qcow2Image.OpenAsync(new KeptStorage(storage), new() { OnCorruption = said.Add }))
        {
            var write = what == "compressed" ? image.WriteCompressedAsync(1 << 20, new byte[65536])
                : image.WriteAsync(1 << 20, new byte[512]);
            await Assert.ThrowsAsync<ImageCorruptException>(write.AsTask);
            Assert.Equal(
                BlockError.NoMedium, (await Assert.ThrowsAsync<BlockException>(() => image.WriteAsync(0, new byte[512]).AsTask())).Error);
        }

        Assert.Equal([message], said);
        Assert.Equal(2UL, await Read64Async(storage, IncompatibleField));
        var refused = await Assert.ThrowsAsync<BlockException>(() => Qcow2Image.OpenAsync(new KeptStorage(storage), new()).AsTask());
        Assert.Equal("qcow2: Image is corrupt; cannot be opened read/write", refused.Message);
    }

    [Fact]
    public async Task The_repair_of_a_dirty_image_is_reported_when_it_is_opened()
    {
        var storage = new MemoryStorage();
        await Qcow2Image.CreateAsync(storage, new() { Size = 64 << 20, LazyRefcounts = true });
        var crashed = await Qcow2Image.OpenAsync(new KeptStorage(storage), new());
        await crashed.WriteAsync(0, new byte[65536]);
        await crashed.FlushAsync();
        List<string> lines = [];
        await using (await Qcow2Image.OpenAsync(new KeptStorage(storage), new() { ReadOnly = true, OnRepair = lines.Add }))
        {
            Assert.Empty(lines);
        }

        await using (await Qcow2Image.OpenAsync(new KeptStorage(storage), new() { OnRepair = lines.Add }))
        {
            Assert.Contains(lines, line => line.EndsWith("refcount=0 reference=1", StringComparison.Ordinal));
        }
    }

    private static async Task<ulong> Read64Async(MemoryStorage storage, long offset)
    {
        var bytes = new byte[8];
        await storage.ReadAsync(offset, bytes);
        return BinaryPrimitives.ReadUInt64BigEndian(bytes);
    }

    private static async Task Write64Async(MemoryStorage storage, long offset, ulong value)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        await storage.WriteAsync(offset, bytes);
    }
}
