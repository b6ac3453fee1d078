using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Tests.Format;

/// <summary>The end of a Zstandard frame.</summary>
public sealed class ZstdFrameTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(200)]
    [InlineData(65536)]
    [InlineData(300_000)]
    public void Frame_ends_where_its_packer_ended_it(int length)
    {
        var random = new Random(length);
        byte[] data = new byte[length];
        for (int i = 0; i < length; i++)
        {
            data[i] = (byte)random.Next(7);
        }

        using var compressor = new ZstdSharp.Compressor();
        byte[] frame = compressor.Wrap(data).ToArray();
        Assert.Equal(frame.Length, ZstdFrame.SizeOf([.. frame, 0, 1, 2]));
        for (int cut = 0; cut < Math.Min(frame.Length, 400); cut++)
        {
            Assert.Equal(-1, ZstdFrame.SizeOf(frame.AsSpan(0, cut)));
        }
    }

    [Fact]
    public void Random_bytes_are_no_frame_beyond_the_buffer()
    {
        var random = new Random(11);
        byte[] bytes = new byte[64];
        for (int i = 0; i < 20_000; i++)
        {
            random.NextBytes(bytes);
            new byte[] { 0x28, 0xb5, 0x2f, 0xfd }.CopyTo(bytes, 0);
            Assert.InRange(ZstdFrame.SizeOf(bytes), -1, bytes.Length);
        }
    }
}
