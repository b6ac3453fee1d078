using System.Text;

namespace Paddock.Block.Tests;

public class ByteTextTests
{
    [Fact]
    public void Any_bytes_survive_conversion_to_text_and_back()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        for (int i = 0; i < 5000; i++)
        {
            byte[] bytes = new byte[random.Next(40)];
            random.NextBytes(bytes);
            if (i % 2 == 0)
            {
                Encoding.UTF8.GetBytes("aé€😀").AsSpan(0, Math.Min(bytes.Length, random.Next(10))).CopyTo(bytes);
            }

            Assert.True(bytes.AsSpan()
                .SequenceEqual(ByteText.ToBytes(ByteText.FromBytes(bytes))), $"seed {seed}, {Convert.ToHexString(bytes)}");
        }
    }

    [Fact]
    public void Names_in_UTF_8_are_their_own_text_and_others_are_printed_with_escapes()
    {
        Assert.Equal("é€😀\ufffd", ByteText.FromBytes(Encoding.UTF8.GetBytes("é€😀\ufffd")));
        Assert.Equal("b\udce9z", ByteText.FromBytes([.. "b"u8, 0xe9, .. "z"u8]));
        Assert.Equal("b\\xe9z😀"u8.ToArray(), ByteText.Printing.GetBytes("b\udce9z😀"));
        Assert.Equal(BlockError.InvalidArgument, Assert.Throws<BlockException>(() => ByteText.ToPath("a\0b")).Error);
    }
}
