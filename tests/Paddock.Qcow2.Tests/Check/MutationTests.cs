using Paddock.Block;

namespace Paddock.Qcow2.Tests.Check;

public class MutationTests
{
    [Theory]
    [InlineData("cluster_size=64k")]
    [InlineData("cluster_size=512,refcount_bits=8")]
    [InlineData("cluster_size=4k,refcount_bits=64")]
    public async Task Mutated_headers_and_tables_give_typed_errors_and_end_soon(string options)
    {
        using var peer = new CheckAgainstQemu();
        peer.Create("4M", options);
        peer.Io("write -P 1 0 64k", "write -c -P 2 1M 64k");
        Assert.Equal(0, CheckAgainstQemu.Run("qemu-img", "snapshot", "-c", "s", peer.Path).Exit);
        byte[] image = File.ReadAllBytes(peer.Path);
        for (int seed = 0; seed < 300; seed++)
        {
            await CheckMutantAsync(image, seed, options);
        }
    }

    private static async Task CheckMutantAsync(byte[] image, int seed, string options)
    {
        var random = new Random(seed);
        byte[] mutant = [.. image];
        for (int i = random.Next(1, 8); i > 0; i--)
        {
            int at = random.Next(2) == 0 ? random.Next(8, 120) : random.Next(image.Length / 8) * 8;
            mutant[at + random.Next(Math.Min(8, mutant.Length - at))] = (byte)random.Next(256);
        }

        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        try
        {
            await Qcow2Image.CheckAsync(await CheckAgainstQemu.LoadAsync(mutant), (Qcow2Repair)(seed % 3), cancellationToken: stop.Token);
        }
        catch (BlockException)
        {
            // a typed refusal is one of the two right answers
        }
        catch (Exception e)
        {
            Assert.Fail($"seed {seed}, {options}: {e}");
        }
    }
}
