using System.Buffers.Binary;
using Paddock.Qcow2.Engine;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Tests.Format;

/// <summary>The bitmap of extended L2 entries, and the runs that are found in it.</summary>
public class SubclusterMapTests
{
    [Theory]
    [InlineData(0, 32, 0xffff_ffffu)]
    [InlineData(31, 1, 0x8000_0000u)]
    [InlineData(4, 4, 0xf0u)]
    public void Range_is_a_mask_of_adjacent_subclusters(int first, int count, uint mask)
        => Assert.Equal(mask, SubclusterMap.Range(first, count));

    [Fact]
    public void Stored_and_zero_exclude_each_other()
    {
        var map = SubclusterMap.AllZero.WithAllocated(0x0f).WithZero(0x03);
        Assert.Equal((0x0cu, 0xffff_fff3u), (map.Allocated, map.Zero));
        Assert.False(map.IsContradictory);
        Assert.True(new SubclusterMap(1, 1).IsContradictory);
    }

    [Theory]
    [InlineData(0UL, 0UL, false)]
    [InlineData(0UL, 1UL, true)]
    [InlineData(0UL, 1UL << 32, false)]
    [InlineData(0x8000_0000_0005_0000UL, 1UL, false)]
    [InlineData(0x8000_0000_0005_0000UL, 0x1_0000_0001UL, true)]
    [InlineData(0x4000_0000_0005_0000UL, 0x1_0000_0001UL, false)]
    public void Entry_is_invalid_if_its_bits_contradict_each_other_or_the_cluster(ulong cluster, ulong bits, bool invalid)
        => Assert.Equal(invalid, new ExtendedL2Entry(new(cluster), new(bits)).IsInvalid);

    [Fact]
    public void Runs_in_random_slices_are_those_found_subcluster_by_subcluster()
    {
        const int Entries = 256;
        var geometry = new ClusterGeometry(16, 4, ClusterGeometry.ExtendedEntryBits);
        var random = new Random(TestSeed.Next());
        for (int round = 0; round < 200; round++)
        {
            byte[] slice = RandomSlice(random, Entries);
            long at = random.NextInt64(Entries << 16);
            long length = 1 + random.NextInt64(1 << 20);
            var run = SubclusterRuns.Map(geometry, slice, (int)(at >> 16), new GuestOffset(at), length, isExternal: false);
            var (kind, host) = Look(slice, at);
            Assert.Equal(kind, run.Kind);
            Assert.Equal(kind == ClusterKind.Compressed ? 0 : host, run.Host.Value);

            long end = at + 1;
            while (end < at + length && end < Entries << 16 && Continues(slice, at, end, kind, host))
            {
                end++;
                end = Math.Min((end + 2047) & ~2047L, at + length);
            }

            Assert.Equal(Math.Min(end, Entries << 16) - at, run.Length);
        }
    }

    private static bool Continues(byte[] slice, long at, long end, ClusterKind kind, long host)
    {
        var (nextKind, nextHost) = Look(slice, end);
        return nextKind == kind && (kind == ClusterKind.Compressed ? end >> 16 == at >> 16 : nextHost == (host == 0 ? 0 : host + end - at));
    }

    private static (ClusterKind Kind, long Host) Look(byte[] slice, long at)
    {
        var entry = SubclusterRuns.EntryAt(slice, (int)(at >> 16), isExternal: false);
        return (entry.KindOf((int)(at >> 11 & 31)), entry.HasCluster ? entry.Cluster.Offset.Value + (at & 0xffff) : 0);
    }

    // valid entries, often adjacent and often alike
    private static byte[] RandomSlice(Random random, int entries)
    {
        var slice = new byte[entries * 16];
        ulong cluster = 0x10_0000, bits = 0;
        for (int i = 0; i < entries; i++)
        {
            cluster += random.Next(4) == 0 ? 0x2_0000UL : 0x1_0000UL;
            int kind = random.Next(8);
            uint allocated = random.Next(3) == 0 ? uint.MaxValue : (uint)random.NextInt64(1L << 32) << random.Next(32);
            bits = random.Next(3) == 0 ? bits : new SubclusterMap(allocated, ~allocated & (uint)random.NextInt64(1L << 32)).Raw;
            ulong first = kind switch { 0 => 0, 1 => cluster | L2Entry.CompressedFlag, _ => cluster | L2Entry.CopiedFlag };
            BinaryPrimitives.WriteUInt64BigEndian(slice.AsSpan(i * 16), first);
            BinaryPrimitives.WriteUInt64BigEndian(slice.AsSpan((i * 16) + 8), kind == 0 ? bits & 0xffff_ffff_0000_0000 : bits);
        }

        return slice;
    }
}
