using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Faults;
using Paddock.Testing;
using Paddock.Qcow2.Tests.Zoned;

namespace Paddock.Qcow2.Tests.Engine;

/// <summary>The list of events is true: requests to plain and zoned images raise every one of them, and nothing outside the list.</summary>
public class FaultEventTests
{
    private const int Cluster = 512;

    [Fact]
    public async Task Every_listed_event_is_raised_and_no_other()
    {
        var raised = new HashSet<string>(StringComparer.Ordinal);
        await UsePlainImageAsync(raised);
        await UseSharedTableAsync(raised);
        await UseOverlayAsync(raised);
        await UseZonesAsync(raised);
        await UseAlignmentAsync(raised);
        Assert.Equal(FaultEvents.All.Order(), raised.Order());
    }

    [Fact]
    public void Event_that_nothing_raises_is_known_but_not_listed()
    {
        Assert.All(FaultEvents.NeverRaised, static name => Assert.True(FaultEvents.IsKnown(name) && !FaultEvents.All.Contains(name)));
        Assert.Contains("vmstate_save", FaultEvents.NeverRaised);
        Assert.False(FaultEvents.IsKnown("l2_loads"));
    }

    private static async Task UsePlainImageAsync(HashSet<string> raised)
    {
        var storage = new PagedStorage();
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = 12 << 20, ClusterSize = Cluster });
        await using (var image = await OpenAsync(storage, raised))
        {
            await image.WriteCompressedAsync(1 << 20, new byte[Cluster]);
            await image.ReadAsync(1 << 20, new byte[Cluster]);
            await image.WriteAsync((1 << 20) + 100, new byte[] { 1 });
            await image.WriteAsync((2 << 20) + 100, new byte[] { 1 });
            await image.FlushAsync();
            await image.DiscardAsync(2 << 20, Cluster);

            // more clusters than the refcount table can count
            await image.WriteAsync(0, new byte[10 << 20]);
            await image.FlushAsync();
            await image.ResizeAsync(64 << 20);
            await image.ResizeAsync(1 << 20);
        }

        await using var again = await OpenAsync(storage, raised);
        await again.ReadAsync(0, new byte[Cluster]);
        await again.WriteAsync(0, new byte[Cluster]);
    }

    /// <summary>Entries without the COPIED flag, as a snapshot leaves them: a write copies the L2 table and the cluster.</summary>
    private static async Task UseSharedTableAsync(HashSet<string> raised)
    {
        var storage = new PagedStorage();
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = 1 << 20, ClusterSize = Cluster });
        await using (var image = await Qcow2Image.OpenAsync(storage.Kept(), new Qcow2OpenOptions()))
        {
            await image.WriteAsync(0, new byte[Cluster]);
        }

        long l1 = ClearCopied(storage, 40), l2 = ClearCopied(storage, l1);
        ClearCopied(storage, l2);
        await using var shared = await OpenAsync(storage, raised);
        await shared.WriteAsync(100, new byte[] { 1 });
    }

    /// <summary>Clears the flag of an entry; returns the offset that it holds.</summary>
    private static long ClearCopied(PagedStorage storage, long at)
    {
        var field = new byte[8];
        storage.Read(at, field);
        field[0] &= 0x7f;
        storage.Write(at, field);
        return BinaryPrimitives.ReadInt64BigEndian(field);
    }

    private static async Task UseOverlayAsync(HashSet<string> raised)
    {
        var storage = new PagedStorage();
        await Qcow2Image.CreateAsync(
            storage, new Qcow2CreateOptions { Size = 1 << 20, ClusterSize = Cluster, BackingFile = "base", BackingFormat = "raw" });
        await using var image = await OpenAsync(storage, raised);
        await image.ReadAsync(0, new byte[Cluster]);
    }

    private static async Task UseZonesAsync(HashSet<string> raised)
    {
        var storage = await AttributeBench.MakeAsync();
        await using var image = await OpenAsync(storage, raised);
        await image.WriteAsync(0, new byte[4096]);
        await image.FlushAsync();
    }

    private static async Task UseAlignmentAsync(HashSet<string> raised)
    {
        var recorder = new Recorder(new PagedStorage(), raised);
        await using var faults = new FaultStorage(recorder, [WatchNone], new FaultLimits { Align = 4096 });
        await faults.WriteAsync(1000, new byte[8192]);
        await faults.WriteZeroesAsync(0, 4096, ZeroFlags.None);
    }

    private static SetStateRule WatchNone => new() { Event = FaultEvents.None, NewState = 2 };

    private static async Task<IQcow2Device> OpenAsync(PagedStorage storage, HashSet<string> raised)
    {
        var faults = new FaultStorage(new Recorder(storage, raised), [WatchNone]);
        if (faults.State == 2)
        {
            // the event of the construction passes no storage
            raised.Add(FaultEvents.None);
        }

        return await Qcow2Image.OpenAsync(faults, new Qcow2OpenOptions { Gate = new BaseGate() });
    }

    private sealed class Recorder(IStorage inner, HashSet<string> raised) : DelegatingStorage(inner, owns: false)
    {
        public override ValueTask OnEventAsync(string eventName)
        {
            raised.Add(eventName);
            return default;
        }
    }

    private sealed class BaseGate : IImageGate
    {
        public ValueTask<IBlockDevice?> OpenBackingAsync(
            string name, string? format, IStorage overlay, CancellationToken cancellationToken)
            => new(MemoryDisk.Of(1 << 20));
    }
}
