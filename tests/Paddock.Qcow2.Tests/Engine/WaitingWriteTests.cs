using Paddock.Block;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>Writes that wait while another one allocates their cluster.</summary>
public class WaitingWriteTests
{
    private const int Cluster = 65536, Part = 4096;

    [Fact]
    public async Task Writes_that_waited_for_a_new_cluster_reach_the_storage_together()
    {
        var storage = new HeldWrites(new MemoryStorage());
        await Qcow2Image.CreateAsync(
            storage, new Qcow2CreateOptions { Size = 1 << 20, ClusterSize = Cluster }, TestContext.Current.CancellationToken);
        await using var disk = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions(), TestContext.Current.CancellationToken);

        // the first write of a session changes the header
        await disk.WriteAsync(Cluster, new byte[Part], cancellationToken: TestContext.Current.CancellationToken);
        storage.Holds = true;
        var writes = new Task[4];
        for (int i = 0; i < writes.Length; i++)
        {
            byte[] data = new byte[Part];
            Array.Fill(data, (byte)(i + 1));
            writes[i] = disk.WriteAsync(i * Part, data, cancellationToken: TestContext.Current.CancellationToken).AsTask();
        }

        var allocating = await storage.NextAsync();
        allocating.SetResult();
        var waiting = new List<TaskCompletionSource>();
        while (waiting.Count < writes.Length - 1)
        {
            waiting.Add(await storage.NextAsync());
        }

        storage.Holds = false;
        waiting.ForEach(w => w.SetResult());
        await Task.WhenAll(writes);
        byte[] read = new byte[writes.Length * Part];
        await disk.ReadAsync(0, read, TestContext.Current.CancellationToken);
        Assert.All(Enumerable.Range(0, read.Length), i => Assert.Equal((i / Part) + 1, read[i]));
    }

    /// <summary>Holds each write until the test releases it.</summary>
    private sealed class HeldWrites(IStorage inner) : DelegatingStorage(inner)
    {
        private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

        private readonly System.Threading.Channels.Channel<TaskCompletionSource> _held =
            System.Threading.Channels.Channel.CreateUnbounded<TaskCompletionSource>();

        public bool Holds { get; set; }

        public override async ValueTask WriteAsync(
            long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken = default)
        {
            if (Holds)
            {
                var held = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                _held.Writer.TryWrite(held);
                await held.Task;
            }

            await base.WriteAsync(offset, data, cancellationToken);
        }

        public Task<TaskCompletionSource> NextAsync() => _held.Reader.ReadAsync().AsTask().WaitAsync(Limit);
    }
}
