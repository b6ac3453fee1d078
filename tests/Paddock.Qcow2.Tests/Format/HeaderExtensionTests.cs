using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Tests.Format;

public class HeaderExtensionTests
{
    [Theory]
    [InlineData(0, 8)]
    [InlineData(1, 16)]
    [InlineData(7, 16)]
    [InlineData(8, 16)]
    [InlineData(9, 24)]
    public void Data_is_padded_to_eight_bytes(int length, int total)
    {
        var bytes = new byte[64];
        int taken = HeaderExtension.WriteAll([new(0x12345678, Filled(length))], bytes);
        Assert.Equal(total + HeaderExtension.HeadSize, taken);
        Assert.Equal(0x12345678u, BinaryPrimitives.ReadUInt32BigEndian(bytes));
        Assert.Equal((uint)length, BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(4)));
        Assert.All(bytes.Skip(8 + length), b => Assert.Equal(0, b));
    }

    [Fact]
    public void Unknown_extensions_come_back_as_they_were_and_in_order()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        for (int round = 0; round < 2000; round++)
        {
            var list = new List<HeaderExtension>();
            for (int i = random.Next(12); i > 0; i--)
            {
                var data = new byte[random.Next(90)];
                random.NextBytes(data);
                list.Add(new((uint)random.Next(1, int.MaxValue), data));
            }

            var bytes = new byte[4096];
            int taken = HeaderExtension.WriteAll(list, bytes);
            var back = HeaderExtension.ParseAll(bytes.AsSpan(0, taken));
            Assert.True(list.Count == back.Count, $"seed {seed}, round {round}");
            for (int i = 0; i < list.Count; i++)
            {
                Assert.Equal(list[i].Type, back[i].Type);
                Assert.Equal(list[i].Data, back[i].Data);
            }
        }
    }

    [Theory]
    [InlineData(49u)]
    [InlineData(0x7fffffffu)]
    [InlineData(0xffffffffu)]
    public void An_extension_past_the_header_is_refused(uint length)
    {
        var bytes = new byte[56];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, 0x12345678);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(4), length);
        var refusal = Assert.Throws<BlockException>(() => HeaderExtension.ParseAll(bytes));
        Assert.Equal("Header extension too large", refusal.Message);
        Assert.Equal(BlockError.InvalidArgument, refusal.Error);
    }

    [Fact]
    public void An_extension_may_fill_the_area_to_its_last_byte()
    {
        var bytes = new byte[55];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, 0x12345678);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(4), 47);
        var extension = Assert.Single(HeaderExtension.ParseAll(bytes));
        Assert.Equal(47, extension.Data.Length);
    }

    [Fact]
    public void Empty_area_holds_no_extension() => Assert.Empty(HeaderExtension.ParseAll([]));

    [Theory]
    [InlineData(3)]
    [InlineData(7)]
    public void Area_too_small_for_an_end_mark_is_rejected(int length)
        => Assert.Equal(
            "Header extension too large", Assert.Throws<BlockException>(() => HeaderExtension.ParseAll(Filled(length))).Message);

    [Fact]
    public void A_backing_format_longer_than_15_bytes_is_refused()
    {
        var bytes = new byte[64];
        HeaderExtension.WriteAll([new(HeaderExtension.BackingFormat, Filled(16))], bytes);
        var refusal = Assert.Throws<BlockException>(() => HeaderExtension.ParseAll(bytes));
        Assert.Equal("ERROR: ext_backing_format: len=16 too large (>=16)", refusal.Message);
    }

    [Fact]
    public void Extensions_that_do_not_fit_are_not_written()
        => Assert.Throws<BlockException>(() => HeaderExtension.WriteAll([new(1, Filled(49))], new byte[64]));

    [Theory]
    [InlineData(0x8000000000000000UL, "Unknown incompatible feature: 8000000000000000")]
    [InlineData(0x4000000000000000UL, "mark")]
    [InlineData(0x6000000000000000UL, "mark, Unknown incompatible feature: 2000000000000000")]
    public void Unknown_features_are_named_by_the_image_itself(ulong bits, string text)
    {
        var table = new byte[2 * FeatureNameTable.EntrySize];
        (table[1], table[2], table[3], table[4], table[5]) = (62, (byte)'m', (byte)'a', (byte)'r', (byte)'k');
        (table[48], table[49], table[50]) = (1, 63, (byte)'x'); // a compatible feature's name is not for an incompatible bit
        Assert.Equal(text, FeatureNameTable.Describe(table, 0, bits));
    }

    [Fact]
    public void A_feature_name_may_fill_its_46_bytes()
    {
        var table = new byte[FeatureNameTable.EntrySize];
        Array.Fill(table, (byte)'n', 2, 46);
        table[1] = 40;
        Assert.Equal(new string('n', 46), FeatureNameTable.Describe(table, 0, 1UL << 40));
    }

    private static byte[] Filled(int length)
    {
        var data = new byte[length];
        Array.Fill(data, (byte)0xaa);
        return data;
    }
}
