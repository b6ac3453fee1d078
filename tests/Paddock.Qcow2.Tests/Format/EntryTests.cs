using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Tests.Format;

public class EntryTests
{
    [Theory]
    [InlineData(0x0000_0000_0000_0000UL, ClusterKind.Unallocated)]
    [InlineData(0x0000_0000_0000_0001UL, ClusterKind.ZeroPlain)]
    [InlineData(0x8000_0000_0005_0001UL, ClusterKind.ZeroAllocated)]
    [InlineData(0x8000_0000_0005_0000UL, ClusterKind.Normal)]
    [InlineData(0x0000_0000_0005_0000UL, ClusterKind.Normal)]
    [InlineData(0x4000_0000_0005_0000UL, ClusterKind.Compressed)]
    [InlineData(0x4000_0000_0005_0001UL, ClusterKind.Compressed)]
    public void An_L2_entry_tells_its_kind(ulong raw, object kind)
        => Assert.Equal((ClusterKind)kind, new L2Entry(raw).Kind);

    [Fact]
    public void An_L2_entry_keeps_the_offset_and_the_copied_flag()
    {
        var entry = L2Entry.Normal(new HostOffset(0x00ff_ffff_ffff_0000));
        Assert.Equal(0x80ff_ffff_ffff_0000UL, entry.Raw);
        Assert.True(entry.IsCopied);
        Assert.Equal(new HostOffset(0x00ff_ffff_ffff_0000), entry.Offset);
    }

    [Theory]
    [InlineData(9, 0x1000, 100, 0x4000_0000_0000_1000UL)]
    [InlineData(16, 0x50000, 512, 0x4000_0000_0005_0000UL)]
    [InlineData(16, 0x50000, 513, 0x4040_0000_0005_0000UL)]
    [InlineData(16, 0x501ff, 2, 0x4040_0000_0005_01ffUL)]
    [InlineData(16, 0x50001, 511, 0x4000_0000_0005_0001UL)]
    [InlineData(21, 0x200000, 1024, 0x4002_0000_0020_0000UL)]
    public void A_compressed_descriptor_is_encoded_as_the_specification_says(int clusterBits, long offset, int bytes, ulong raw)
    {
        var entry = CompressedDescriptor.Encode(new HostOffset(offset), bytes, clusterBits);
        Assert.Equal(raw, entry.Raw);
        var descriptor = CompressedDescriptor.Decode(entry, clusterBits);
        Assert.Equal(offset, descriptor.Offset.Value);
        Assert.InRange(descriptor.Length, bytes, bytes + 511);
        Assert.Equal(0, (descriptor.Offset.Value + descriptor.Length) % 512);
    }

    [Theory]
    [InlineData(9)]
    [InlineData(12)]
    [InlineData(16)]
    [InlineData(21)]
    public void Every_compressed_length_up_to_a_cluster_survives_the_round_trip(int clusterBits)
    {
        for (int bytes = 1; bytes <= 1 << clusterBits; bytes = bytes < 2000 ? bytes + 1 : bytes + 4093)
        {
            foreach (long offset in new long[] { 512, 513, 1023, CompressedDescriptor.OffsetLimit(clusterBits) - (1 << clusterBits) })
            {
                var descriptor = CompressedDescriptor.Decode(CompressedDescriptor.Encode(new(offset), bytes, clusterBits), clusterBits);
                Assert.Equal(offset, descriptor.Offset.Value);
                Assert.InRange(descriptor.Length, bytes, bytes + 511);
            }
        }
    }

    [Theory]
    [InlineData(9, 61)]
    [InlineData(16, 54)]
    [InlineData(21, 49)]
    public void A_compressed_offset_has_as_many_bits_as_the_cluster_size_leaves(int clusterBits, int bits)
        => Assert.Equal(1L << bits, CompressedDescriptor.OffsetLimit(clusterBits));

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    public void A_refcount_changes_no_neighbour(int order)
    {
        var random = new Random(order);
        var block = new byte[512];
        int entries = block.Length * 8 >> order;
        ulong max = new ClusterGeometry(9, order).MaxRefcount;
        var expected = new ulong[entries];
        for (int i = 0; i < 5000; i++)
        {
            int index = random.Next(entries);
            ulong value = (i % 3) switch { 0 => max, 1 => 0, _ => (ulong)random.NextInt64() & max };
            RefcountCodec.Set(block, index, order, value);
            expected[index] = value;
        }

        for (int i = 0; i < entries; i++)
        {
            Assert.Equal(expected[i], RefcountCodec.Get(block, i, order));
        }
    }

    [Theory]
    [InlineData(0, 3, 1, 0, 0x08)]
    [InlineData(0, 9, 1, 1, 0x02)]
    [InlineData(1, 1, 3, 0, 0x0c)]
    [InlineData(2, 1, 5, 0, 0x50)]
    [InlineData(2, 2, 5, 1, 0x05)]
    [InlineData(3, 2, 9, 2, 0x09)]
    [InlineData(4, 1, 0x1234, 2, 0x12)]
    [InlineData(5, 1, 0x12345678, 4, 0x12)]
    [InlineData(6, 1, 0x12, 15, 0x12)]
    public void A_refcount_lies_at_the_byte_and_bit_of_the_specification(int order, int index, ulong value, int at, byte expected)
    {
        var block = new byte[16];
        RefcountCodec.Set(block, index, order, value);
        Assert.Equal(expected, block[at]);
    }

    [Fact]
    public void Geometry_follows_from_the_cluster_size_and_the_refcount_width()
    {
        var geometry = new ClusterGeometry(16, 4);
        Assert.Equal(65536, geometry.ClusterSize);
        Assert.Equal(13, geometry.L2Bits);
        Assert.Equal(29, geometry.L1Shift);
        Assert.Equal(15, geometry.RefcountBlockBits);
        Assert.Equal(65535UL, geometry.MaxRefcount);
        Assert.Equal(2048, geometry.L1EntriesFor(1L << 40));
        Assert.Equal(1, geometry.L1EntriesFor(1));
        Assert.Equal(0, geometry.L1EntriesFor(0));
        Assert.Equal(17, new ClusterGeometry(16, 2).RefcountBlockBits);
        Assert.Equal(1UL, new ClusterGeometry(16, 0).MaxRefcount);
        Assert.Equal(ulong.MaxValue, new ClusterGeometry(16, 6).MaxRefcount);
    }

    [Fact]
    public void The_largest_virtual_size_does_not_overflow()
    {
        var geometry = new ClusterGeometry(16, 4);
        Assert.Equal(1L << 34, geometry.L1EntriesFor(long.MaxValue));
        Assert.Equal(1L << 47, geometry.ClustersFor(long.MaxValue));
    }
}
