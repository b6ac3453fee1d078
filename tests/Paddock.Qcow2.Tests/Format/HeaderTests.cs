using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Tests.Format;

public class HeaderTests
{
    private static readonly Qcow2Header Sample = new()
    {
        Version = 3,
        BackingOffset = 0x210,
        BackingLength = 7,
        ClusterBits = 16,
        VirtualSize = 1UL << 40,
        L1Entries = 2048,
        L1Offset = 0x30000,
        RefcountTableOffset = 0x10000,
        RefcountTableClusters = 1,
        SnapshotCount = 3,
        SnapshotTableOffset = 0x80000,
        Incompatible = IncompatibleFeatures.CompressionType | IncompatibleFeatures.Zoned,
        Compatible = CompatibleFeatures.LazyRefcounts,
        Autoclear = AutoclearFeatures.Bitmaps,
        RefcountOrder = 6,
        HeaderLength = 112,
        CompressionType = 1,
    };

    [Theory]
    [InlineData(0, 4, 0x514649fbUL)]
    [InlineData(4, 4, 3UL)]
    [InlineData(8, 8, 0x210UL)]
    [InlineData(16, 4, 7UL)]
    [InlineData(20, 4, 16UL)]
    [InlineData(24, 8, 1UL << 40)]
    [InlineData(32, 4, 0UL)]
    [InlineData(36, 4, 2048UL)]
    [InlineData(40, 8, 0x30000UL)]
    [InlineData(48, 8, 0x10000UL)]
    [InlineData(56, 4, 1UL)]
    [InlineData(60, 4, 3UL)]
    [InlineData(64, 8, 0x80000UL)]
    [InlineData(72, 8, 0x28UL)]
    [InlineData(80, 8, 1UL)]
    [InlineData(88, 8, 1UL)]
    [InlineData(96, 4, 6UL)]
    [InlineData(100, 4, 112UL)]
    [InlineData(104, 1, 1UL)]
    public void Each_field_lies_where_the_specification_puts_it(int at, int size, ulong value)
    {
        var bytes = new byte[112];
        Sample.WriteTo(bytes);
        ulong found = 0;
        foreach (byte b in bytes.AsSpan(at, size))
        {
            found = (found << 8) | b;
        }

        Assert.Equal(value, found);
    }

    [Fact]
    public void A_written_header_reads_back_the_same()
    {
        var bytes = new byte[112];
        Sample.WriteTo(bytes);
        Assert.Equal(Sample, Qcow2Header.Parse(bytes));
        Sample.Validate();
    }

    [Fact]
    public void A_version_2_header_has_the_defaults_of_version_3_fields()
    {
        var bytes = new byte[112];
        (Sample with { Version = 2 }).WriteTo(bytes);
        Array.Fill(bytes, (byte)0xff, 72, 40);
        var header = Qcow2Header.Parse(bytes);
        Assert.Equal(4u, header.RefcountOrder);
        Assert.Equal(72u, header.HeaderLength);
        Assert.Equal(IncompatibleFeatures.None, header.Incompatible);
        Assert.Equal(0, header.CompressionType);
    }

    [Fact]
    public void A_header_of_104_bytes_has_no_compression_type()
    {
        var bytes = new byte[112];
        (Sample with { HeaderLength = 104 }).WriteTo(bytes);
        bytes[104] = 1;
        Assert.Equal(0, Qcow2Header.Parse(bytes).CompressionType);
    }

    [Theory]
    [InlineData(0, 4, 0x514649fcUL, BlockError.InvalidArgument, "Image is not in qcow2 format")]
    [InlineData(4, 4, 1UL, BlockError.NotSupported, "Unsupported qcow2 version 1")]
    [InlineData(4, 4, 4UL, BlockError.NotSupported, "Unsupported qcow2 version 4")]
    [InlineData(4, 4, 0xffffffffUL, BlockError.NotSupported, "Unsupported qcow2 version 4294967295")]
    [InlineData(8, 8, 0x10001UL, BlockError.InvalidArgument, "Invalid backing file offset")]
    [InlineData(8, 8, ulong.MaxValue, BlockError.InvalidArgument, "Invalid backing file offset")]
    [InlineData(16, 4, 1024UL, BlockError.InvalidArgument, "Backing file name too long")]
    [InlineData(16, 4, 0xffffffffUL, BlockError.InvalidArgument, "Backing file name too long")]
    [InlineData(20, 4, 8UL, BlockError.InvalidArgument, "Unsupported cluster size: 2^8")]
    [InlineData(20, 4, 22UL, BlockError.InvalidArgument, "Unsupported cluster size: 2^22")]
    [InlineData(20, 4, 0xffffffffUL, BlockError.InvalidArgument, "Unsupported cluster size: 2^4294967295")]
    [InlineData(24, 8, (1UL << 40) + 1, BlockError.InvalidArgument, "L1 table is too small")]
    [InlineData(24, 8, ulong.MaxValue, BlockError.TooLarge, "Image is too big")]
    [InlineData(24, 8, (ulong)long.MaxValue, BlockError.TooLarge, "Image is too big")]
    [InlineData(32, 4, 3UL, BlockError.InvalidArgument, "Unsupported encryption method 3")]
    [InlineData(36, 4, 0x400001UL, BlockError.TooLarge, "Active L1 table too large")]
    [InlineData(36, 4, 0xffffffffUL, BlockError.TooLarge, "Active L1 table too large")]
    [InlineData(36, 4, 2047UL, BlockError.InvalidArgument, "L1 table is too small")]
    [InlineData(40, 8, 0x30001UL, BlockError.InvalidArgument, "Active L1 table offset invalid")]
    [InlineData(40, 8, 0x7fffffffffff0000UL, BlockError.InvalidArgument, null)]
    [InlineData(40, 8, 0x8000000000000000UL, BlockError.InvalidArgument, "Active L1 table offset invalid")]
    [InlineData(48, 8, 0x12345678UL, BlockError.InvalidArgument, "Reference count table offset invalid")]
    [InlineData(48, 8, 0xffffffffffff0000UL, BlockError.InvalidArgument, "Reference count table offset invalid")]
    [InlineData(56, 4, 129UL, BlockError.TooLarge, "Reference count table too large")]
    [InlineData(56, 4, 0xffffffffUL, BlockError.TooLarge, "Reference count table too large")]
    [InlineData(60, 4, 65537UL, BlockError.TooLarge, "Snapshot table too large")]
    [InlineData(60, 4, 0xffffffffUL, BlockError.TooLarge, "Snapshot table too large")]
    [InlineData(64, 8, 0x80001UL, BlockError.InvalidArgument, "Snapshot table offset invalid")]
    [InlineData(64, 8, 0xffffffffffff0000UL, BlockError.InvalidArgument, "Snapshot table offset invalid")]
    [InlineData(96, 4, 7UL, BlockError.InvalidArgument, "Reference count entry width too large; may not exceed 64 bits")]
    [InlineData(96, 4, 0xffffffffUL, BlockError.InvalidArgument, "Reference count entry width too large; may not exceed 64 bits")]
    [InlineData(100, 4, 96UL, BlockError.InvalidArgument, "qcow2 header too short")]
    [InlineData(100, 4, 108UL, BlockError.InvalidArgument, "qcow2 header length 108 is no multiple of 8")]
    [InlineData(100, 4, 0x10008UL, BlockError.InvalidArgument, "qcow2 header exceeds cluster size")]
    [InlineData(100, 4, 0xffffffffUL, BlockError.InvalidArgument, "qcow2 header exceeds cluster size")]
    public void A_header_beyond_a_limit_is_refused_by_name(int at, int size, ulong value, BlockError error, string? message)
    {
        var bytes = new byte[112];
        Sample.WriteTo(bytes);
        Put(bytes, at, size, value);
        if (message is null)
        {
            // as far as the header alone can tell, this one is sound
            ValidateAll(Qcow2Header.Parse(bytes));
            return;
        }

        var refusal = Assert.Throws<BlockException>(() => ValidateAll(Qcow2Header.Parse(bytes)));
        Assert.Equal(message, refusal.Message);
        Assert.Equal(error, refusal.Error);
    }

    [Fact]
    public void Random_headers_are_refused_or_valid_but_never_worse()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        var bytes = new byte[112];
        for (int i = 0; i < 200_000; i++)
        {
            Sample.WriteTo(bytes);
            for (int flips = random.Next(1, 5); flips > 0; flips--)
            {
                int at = random.Next(4, bytes.Length);
                bytes[at] = random.Next(3) == 0 ? (byte)0xff : (byte)random.Next(256);
            }

            try
            {
                var header = Qcow2Header.Parse(bytes);
                header.Validate();
                Assert.InRange(header.L1Entries, 0u, 32u << 17);
            }
            catch (BlockException)
            {
                continue;
            }
            catch (Exception e)
            {
                Assert.Fail($"seed {seed}, round {i}: {e}");
            }
        }
    }

    private static void Put(byte[] bytes, int at, int size, ulong value)
    {
        if (size == 8)
        {
            BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(at), value);
        }
        else
        {
            BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(at), (uint)value);
        }
    }

    private static void ValidateAll(Qcow2Header header)
    {
        header.Validate();
        header.ValidateSnapshotTable();
    }
}
