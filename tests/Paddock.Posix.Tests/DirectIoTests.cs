using Paddock.Block;

namespace Paddock.Posix.Tests;

public sealed class DirectIoTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-").FullName;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Random_concurrent_unaligned_requests_match_memory_and_keep_the_exact_length()
    {
        const int part = 7001, parts = 60;
        int seed = TestSeed.Next();
        var random = new Random(seed);
        await using var file = Open();
        await using var mirror = new MemoryStorage();
        for (int round = 0; round < 5; round++)
        {
            // adjacent requests share blocks but no bytes, so the order does not matter
            var jobs = new List<Task>();
            foreach (int at in Enumerable.Range(0, parts).Where(_ => random.Next(3) > 0))
            {
                var data = new byte[random.Next(1, part + 1)];
                random.NextBytes(data);
                jobs.Add(file.WriteAsync((long)at * part, data, Token).AsTask());
                await mirror.WriteAsync((long)at * part, data, Token);
            }

            await Task.WhenAll(jobs);
            Assert.Equal(mirror.Length, file.Length);
            Assert.Equal(mirror.Length, new FileInfo(Path.Combine(_folder, "a")).Length);
            int offset = random.Next(part * parts);
            byte[] expected = new byte[50000], read = new byte[50000];
            await mirror.ReadAsync(offset, expected, Token);
            await file.ReadAsync(offset, read, Token);
            Assert.True(read.AsSpan().SequenceEqual(expected), $"seed {seed}, round {round}");
            await mirror.WriteZeroesAsync(offset, 9999, ZeroFlags.None, Token);
            await file.WriteZeroesAsync(offset, 9999, round % 2 == 0 ? ZeroFlags.MayUnmap : ZeroFlags.None, Token);
        }

        await file.FlushAsync(Token);
        byte[] all = new byte[mirror.Length];
        await mirror.ReadAsync(0, all, Token);
        Assert.True(File.ReadAllBytes(Path.Combine(_folder, "a")).AsSpan().SequenceEqual(all), $"seed {seed}");
    }

    [Fact]
    public async Task Long_transfers_are_split()
    {
        await using var file = Open();
        var data = new byte[(3 << 20) + 77];
        new Random(1).NextBytes(data);
        await file.WriteAsync(4095, data, Token);
        Assert.Equal(4095 + data.Length, file.Length);
        var read = new byte[data.Length + 10];
        await file.ReadAsync(4095, read, Token);
        Assert.True(read.AsSpan(0, data.Length).SequenceEqual(data));
        Assert.True(read.AsSpan(data.Length).IndexOfAnyExcept((byte)0) < 0);
        await file.SetLengthAsync(100, cancellationToken: Token);
        Assert.Equal(100, file.Length);
    }

    private FileStorage Open()
    {
        try
        {
            return FileStorage.Open(new() { Path = Path.Combine(_folder, "a"), Create = true, DirectIo = true });
        }
        catch (BlockException e) when (e.Errno == 22)
        {
            Assert.Skip("the file system has no direct I/O");
            throw;
        }
    }
}
