using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Zoned;

namespace Paddock.Qcow2.Tests.Zoned;

/// <summary>The three layouts of the header extension: sizes, offsets, how they are told apart, and what no image may claim (spec
/// 1.2).</summary>
public class ZonedExtensionTests
{
    private const long MiB = 1 << 20;
    private const long DiskSize = (64 * MiB) - 4096;
    private const int Cluster = 65536;
    private const long FileLength = 1 << 20;

    private static readonly ZonedParameters Some = new()
    {
        Layout = ZoneLayout.A,
        Model = 1,
        ZoneSize = 8 * MiB,
        ZoneCapacity = 6 * MiB,
        ZoneCount = 8,
        ConventionalZones = 2,
        MaxActiveZones = 5,
        MaxOpenZones = 4,
        MaxAppendBytes = 131072,
        TableOffset = 0x30000,
    };

    [Theory]
    [InlineData(ZoneLayout.A, "0100000000800000006000000000000200000008000000050000000400020000000000000000004000000000 00030000")]
    [InlineData(ZoneLayout.B, "01000000 00000008 0000000000800000 0000000000600000 00000002 00000005 00000004 00020000 0000000000030000")]
    [InlineData(ZoneLayout.C, "01000000 00000008 0000000000800000 0000000000600000 0000000000030000 00000002 00000005 00000004")]
    public void Each_layout_matches_the_specification_and_is_distinguished_from_the_others(ZoneLayout layout, string hex)
    {
        var expected = Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal));
        var zoned = Some with { Layout = layout };
        Assert.Equal(expected, ZonedExtension.Write(zoned));
        Assert.Equal(layout == ZoneLayout.C ? 44 : 48, expected.Length);
        var read = ZonedExtension.Read(expected, DiskSize, Cluster, FileLength)!;
        Assert.Equal(layout, read.Layout);
        Assert.Equal(zoned.Limits with { MaxAppendBytes = layout == ZoneLayout.C ? 0 : 131072u }, read.Limits);
        Assert.Equal(zoned.TableOffset, read.TableOffset);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(43)]
    [InlineData(45)]
    [InlineData(47)]
    [InlineData(49)]
    [InlineData(1000)]
    public void Extension_of_another_size_is_rejected(int size)
    {
        var data = new byte[size];
        data.AsSpan(0, Math.Min(1, size)).Fill(1);
        var refused = Assert.Throws<BlockException>(() => ZonedExtension.Read(data, DiskSize, Cluster, FileLength));
        Assert.Contains($"{size}", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(255)]
    public void Unknown_zone_model_is_rejected_by_name(byte model)
    {
        foreach (int size in new[] { 44, 48 })
        {
            var data = new byte[size];
            data[0] = model;
            var refused = Assert.Throws<BlockException>(() => ZonedExtension.Read(data, DiskSize, Cluster, FileLength));
            Assert.Contains($"zoned is {model}", refused.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Model_0_is_an_image_without_zones()
        => Assert.Null(ZonedExtension.Read(new byte[48], DiskSize, Cluster, FileLength));

    // Layout A: each field by its offset, out of its limits.
    [Theory]
    [InlineData(4, 4, 0, "zone_size")]
    [InlineData(4, 4, 1000, "zone_size")]
    [InlineData(8, 4, 0, "zone_capacity")]
    [InlineData(8, 4, 4097, "zone_capacity")]
    [InlineData(8, 4, (8 * MiB) + 512, "zone_capacity")]
    [InlineData(12, 4, 9, "conventional_zones")]
    [InlineData(12, 4, 0xffffffff, "conventional_zones")]
    [InlineData(16, 4, 7, "nr_zones")]
    [InlineData(16, 4, 0xffffffff, "nr_zones")]
    [InlineData(24, 4, 6, "max_open_zones")]
    [InlineData(28, 4, 1000, "max_append_bytes")]
    [InlineData(32, 8, 8, "zonedmeta_size")]
    [InlineData(32, 8, 1L << 40, "zonedmeta_size")]
    [InlineData(40, 8, 0, "zonedmeta_offset")]
    [InlineData(40, 8, 512, "zonedmeta_offset")]
    [InlineData(40, 8, FileLength, "zonedmeta_offset")]
    [InlineData(40, 8, long.MinValue, "zonedmeta_offset")]
    [InlineData(40, 8, -65536, "zonedmeta_offset")]
    public void Field_of_layout_A_beyond_its_limit_is_rejected_by_name(int at, int size, long value, string field)
        => Refuses(ZonedExtension.Write(Some), at, size, value, field);

    [Theory]
    [InlineData(4, 4, 7, "nr_zones")]
    [InlineData(8, 8, 0, "zone_size")]
    [InlineData(8, 8, -512, "zone_size")]
    [InlineData(8, 8, 1L << 42, "zone_size")]
    [InlineData(8, 8, 3 * MiB, "zone_size")] // no power of two
    [InlineData(16, 8, -1, "zone_capacity")]
    [InlineData(24, 8, 0x30200, "zonedmeta_offset")]
    [InlineData(24, 8, FileLength, "zonedmeta_offset")]
    [InlineData(32, 4, 9, "conventional_zones")]
    [InlineData(36, 4, 3, "max_active_zones")]
    [InlineData(40, 4, 6, "max_open_zones")]
    public void Field_of_layout_C_beyond_its_limit_is_rejected_by_name(int at, int size, long value, string field)
        => Refuses(ZonedExtension.Write(Some with { Layout = ZoneLayout.C }), at, size, value, field);

    [Fact]
    public void Layout_C_limits_open_zones_to_the_sequential_ones()
    {
        var data = ZonedExtension.Write(Some with { Layout = ZoneLayout.C });
        BinaryPrimitives.WriteUInt32BigEndian(data.AsSpan(32), 6);
        var refused = Assert.Throws<BlockException>(() => ZonedExtension.Read(data, DiskSize, Cluster, FileLength));
        const string Named = "max_open_zones is 4, and must be at most the number of sequential zones, 2";
        Assert.Contains(Named, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Table_beyond_the_end_of_the_file_is_rejected()
    {
        var data = ZonedExtension.Write(Some);
        Assert.NotNull(ZonedExtension.Read(data, DiskSize, Cluster, 0x30000 + 64));
        Assert.Throws<BlockException>(() => ZonedExtension.Read(data, DiskSize, Cluster, 0x30000 + 63));
    }

    [Fact]
    public void More_than_a_million_zones_are_refused()
    {
        long size = 1_048_577L * 512;
        var many = Some with { ZoneSize = 512, ZoneCapacity = 512, ZoneCount = 1_048_577, ConventionalZones = 0 };
        var refused = Assert.Throws<BlockException>(() => ZonedExtension.Read(ZonedExtension.Write(many), size, Cluster, 1L << 40));
        Assert.Contains("nr_zones is 1048577", refused.Message, StringComparison.Ordinal);
        Assert.Contains("1048576", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(6u, 0u)] // as many as there are sequential zones
    [InlineData(7u, 0u)]
    [InlineData(5u, 5u)]
    public void Layout_C_stores_a_limit_that_limits_nothing_as_none(uint limit, uint stored)
    {
        var data = ZonedExtension.Write(Some with { Layout = ZoneLayout.C, MaxActiveZones = limit, MaxOpenZones = limit });
        Assert.Equal(stored, BinaryPrimitives.ReadUInt32BigEndian(data.AsSpan(36)));
        Assert.Equal(stored, BinaryPrimitives.ReadUInt32BigEndian(data.AsSpan(40)));
    }

    [Fact]
    public void Random_extensions_are_read_or_rejected()
    {
        const int Seed = 20231;
        var random = new Random(Seed);
        for (int i = 0; i < 200_000; i++)
        {
            var data = ZonedExtension.Write(Some with { Layout = (ZoneLayout)random.Next(3) });
            for (int hits = random.Next(1, 4); hits > 0; hits--)
            {
                data[random.Next(data.Length)] = (byte)(random.Next(2) == 0 ? 255 : random.Next(256));
            }

            try
            {
                var read = ZonedExtension.Read(data, DiskSize, Cluster, FileLength);
                Assert.True(read is null || read.ZoneCount <= 1_048_576, $"seed {Seed}, image {i}");
            }
            catch (BlockException refused)
            {
                Assert.StartsWith("zoned header extension", refused.Message, StringComparison.Ordinal);
            }
        }
    }

    private static void Refuses(byte[] data, int at, int size, long value, string field)
    {
        if (size == 4)
        {
            BinaryPrimitives.WriteUInt32BigEndian(data.AsSpan(at), (uint)value);
        }
        else
        {
            BinaryPrimitives.WriteInt64BigEndian(data.AsSpan(at), value);
        }

        var refused = Assert.Throws<BlockException>(() => ZonedExtension.Read(data, DiskSize, Cluster, FileLength));
        string found = field == "max_active_zones" ? "must be at most max_active_zones, " : $"{field} is ";
        Assert.Contains($"{found}{(size == 4 ? (uint)value : (ulong)value)}", refused.Message, StringComparison.Ordinal);
    }
}
