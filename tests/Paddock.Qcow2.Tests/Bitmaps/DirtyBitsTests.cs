using System.Collections;
using Paddock.Qcow2.Bitmaps;

namespace Paddock.Qcow2.Tests.Bitmaps;

/// <summary>The bits in memory, beside a plain array of them.</summary>
public class DirtyBitsTests
{
    private const int GranularityBits = 9;

    [Theory]
    [InlineData(1)]
    [InlineData(70_000)]
    [InlineData(200_001)]
    public void Random_changes_leave_the_bits_of_a_plain_array(int count)
    {
        var random = new Random(TestSeed.Next());
        long length = ((long)count << GranularityBits) - random.Next(1 << GranularityBits);
        var bits = new DirtyBits(length, GranularityBits);
        var model = new BitArray(count);
        for (int step = 0; step < 60; step++)
        {
            if (random.Next(12) == 0)
            {
                bits.Clear();
                model.SetAll(false);
            }

            int first = random.Next(count), last = Math.Min(count - 1, first + random.Next(random.Next(2) == 0 ? 4 : count));
            bits.Set(((long)first << GranularityBits) + random.Next(2), ((long)(last - first) << GranularityBits) + 1);
            for (int i = first; i <= last; i++)
            {
                model[i] = true;
            }
        }

        AssertSame(model, bits);
        var copy = new DirtyBits(length, GranularityBits);
        var bytes = new byte[4096];
        for (long at = 0; at < DirtyBits.BytesFor(length, GranularityBits); at += bytes.Length)
        {
            switch (bits.CopyTo(at, bytes))
            {
                case BitRange.Ones:
                    copy.LoadOnes(at, bytes.Length);
                    break;
                case BitRange.Mixed:
                    copy.Load(at, bytes);
                    break;
            }
        }

        AssertSame(model, copy);
        Assert.False(copy.HasChanged(0, long.MaxValue / 2));
    }

    [Fact]
    public void Bits_behind_the_end_are_not_stored()
    {
        var bits = new DirtyBits(20 << GranularityBits, GranularityBits);
        bits.Set(0, 20 << GranularityBits);
        bits.Resize(5 << GranularityBits);
        var bytes = new byte[512];
        Assert.Equal(BitRange.Mixed, bits.CopyTo(0, bytes));
        Assert.Equal([0x1f, 0], bytes[..2]);
    }

    [Fact]
    public void Added_part_of_a_disk_is_dirty()
    {
        var bits = new DirtyBits(512, GranularityBits);
        bits.Resize(100_000 << GranularityBits);
        Assert.Equal(512, bits.EndOfRun(0, bits.Length, out bool isSet));
        Assert.False(isSet);
        Assert.Equal(bits.Length, bits.EndOfRun(512, bits.Length, out isSet));
        Assert.True(isSet);
    }

    [Fact]
    public void Merge_sets_every_bit_that_is_touched()
    {
        var coarse = new DirtyBits(1 << 20, 16);
        var fine = new DirtyBits(1 << 20, GranularityBits);
        fine.Set(65535, 2);
        coarse.Merge(fine);
        Assert.Equal(131072, coarse.EndOfRun(0, 1 << 20, out bool isSet));
        Assert.True(isSet);
    }

    [Fact]
    public async Task Bits_set_while_others_are_taken_are_not_lost()
    {
        const int Count = 40_000, Writers = 3;
        var bits = new DirtyBits((long)Count << GranularityBits, GranularityBits);
        var all = new DirtyBits(bits.Length, GranularityBits);
        var writers = Enumerable.Range(0, Writers).Select(writer => Task.Run(
            () =>
            {
                for (int i = writer; i < Count; i += Writers)
                {
                    bits.Set((long)i << GranularityBits, 1);
                }
            },
            TestContext.Current.CancellationToken)).ToArray();
        while (!writers.All(static t => t.IsCompleted))
        {
            Take();
        }

        await Task.WhenAll(writers);
        Take();
        Assert.Equal(all.Length, all.EndOfRun(0, all.Length, out bool isSet));
        Assert.True(isSet);

        void Take()
        {
            var taken = new DirtyBits(bits.Length, GranularityBits);
            bits.MoveTo(taken);
            all.Merge(taken);
        }
    }

    private static void AssertSame(BitArray model, DirtyBits bits)
    {
        for (long offset = 0; offset < bits.Length;)
        {
            long end = bits.EndOfRun(offset, bits.Length, out bool isSet);
            int first = (int)(offset >> GranularityBits), last = (int)((end - 1) >> GranularityBits);
            for (int i = first; i <= last; i++)
            {
                Assert.Equal(model[i], isSet);
            }

            Assert.True(end == bits.Length || model[last + 1] != isSet);
            offset = end;
        }
    }
}
