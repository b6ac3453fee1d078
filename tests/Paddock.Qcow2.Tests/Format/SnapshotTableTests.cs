using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Tests.Format;

public class SnapshotTableTests
{
    private const long TableAt = 65536;

    [Fact]
    public void The_fixed_part_lies_as_the_specification_says()
    {
        var bytes = SnapshotTable.ToBytes([Entry("1", "first", 24)]);
        Assert.Equal(72, bytes.Length); // 40 + 24 + 1 + 5, rounded up to 8
        Assert.Equal(0x50000UL, BinaryPrimitives.ReadUInt64BigEndian(bytes));
        Assert.Equal(2u, BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(8)));
        Assert.Equal(1, BinaryPrimitives.ReadUInt16BigEndian(bytes.AsSpan(12)));
        Assert.Equal(5, BinaryPrimitives.ReadUInt16BigEndian(bytes.AsSpan(14)));
        Assert.Equal(1700000000u, BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(16)));
        Assert.Equal(123u, BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(20)));
        Assert.Equal(5000000000UL, BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(24)));
        Assert.Equal(77u, BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(32)));
        Assert.Equal(24u, BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(36)));
        Assert.Equal("1first"u8, bytes.AsSpan(64, 6));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(8)]
    [InlineData(16)]
    [InlineData(24)]
    [InlineData(1024)]
    public async Task A_table_reads_back_with_all_its_extra_data(int extra)
    {
        SnapshotEntry[] written = [Entry("1", "first", extra), Entry("27", string.Empty, extra),
            Entry("3", "dritter Stand, größer", extra)];
        var read = await ReadBackAsync(SnapshotTable.ToBytes(written), (uint)written.Length);
        Assert.Equal(written.Select(e => (e.Id, e.Name)), read.Select(e => (e.Id, e.Name)));
        Assert.All(read, e => Assert.Equal(written[0].Extra.ToArray(), e.Extra.ToArray()));
        Assert.Equal(extra >= 8 ? 0x0101010101010101 : 77, read[0].VmStateSize);
        Assert.Equal(extra >= 16 ? 0x0101010101010101 : null, read[0].DiskSize);
        Assert.Equal(extra >= 24 ? 0x0101010101010101 : -1, read[0].InstructionCount);
    }

    [Fact]
    public async Task Entries_past_the_end_of_the_file_are_empty()
    {
        var bytes = SnapshotTable.ToBytes([Entry("1", "a", 16)]);
        var read = await ReadBackAsync(bytes, Qcow2Limits.MaxSnapshots);
        Assert.Equal("a", read[0].Name);
        Assert.All(read.Skip(1), static e => Assert.Equal(("", "", 0u), (e.Id, e.Name, e.Header.L1Entries)));
    }

    [Theory]
    [InlineData(1025u)]
    [InlineData(0xffffffffu)]
    public async Task Extra_data_beyond_its_limit_is_refused(uint extra)
    {
        var bytes = SnapshotTable.ToBytes([Entry("1", "a", 16)]);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(36), extra);
        var failure = await Assert.ThrowsAsync<BlockException>(() => ReadBackAsync(bytes, 1).AsTask());
        Assert.Equal(BlockError.TooLarge, failure.Error);
        Assert.StartsWith("Too much extra metadata in snapshot table entry 0\n", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Snapshots_that_qemu_made_are_listed()
    {
        string path = Path.GetTempFileName();
        try
        {
            PeerImage.Run("qemu-img", "create", "-q", "-f", "qcow2", path, "8M");
            PeerImage.Run("qemu-img", "snapshot", "-c", "before", path);
            PeerImage.Run("qemu-img", "snapshot", "-c", "after", path);
            await using var image = await Qcow2Image.OpenAsync(
                PeerImage.Load(path), new() { ReadOnly = true }, TestContext.Current.CancellationToken);
            Assert.Equal([("1", "before"), ("2", "after")], image.Info.Snapshots.Select(s => (s.Id, s.Name)));
            Assert.All(image.Info.Snapshots, s => Assert.Equal(8 << 20, s.DiskSize));
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static SnapshotEntry Entry(string id, string name, int extra) => new()
    {
        Id = id,
        Name = name,
        Extra = Enumerable.Repeat((byte)1, extra).ToArray(),
        Header = new()
        {
            L1TableOffset = new(0x50000),
            L1Entries = 2,
            DateSeconds = 1700000000,
            DateNanoseconds = 123,
            VmClockNanoseconds = 5000000000,
            VmStateSize = 77,
        },
    };

    private static async ValueTask<List<SnapshotEntry>> ReadBackAsync(byte[] table, uint count)
    {
        var storage = new MemoryStorage();
        await storage.WriteAsync(TableAt, table);
        var header = new Qcow2Header
        {
            Version = 3, ClusterBits = 16, VirtualSize = 0, SnapshotCount = count, SnapshotTableOffset = (ulong)TableAt,
        };
        return await SnapshotTable.ReadAsync(storage, header);
    }
}
