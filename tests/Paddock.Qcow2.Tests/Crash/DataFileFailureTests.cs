using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Qcow2.Tests.Crash;

/// <summary>Any one request to an image or to its external data file fails: the image stays sound, and flushed data stay.</summary>
public class DataFileFailureTests
{
    private const int Cluster = 4096, Size = 48 * Cluster;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<bool, bool, bool, bool> Cases()
    {
        var data = new TheoryData<bool, bool, bool, bool>();
        for (int i = 0; i < 16; i++)
        {
            data.Add((i & 1) != 0, (i & 2) != 0, (i & 4) != 0, (i & 8) != 0);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Failed_request_costs_nothing_that_was_flushed(bool raw, bool extended, bool failsData, bool takesEffect)
    {
        for (int failing = 1, failures = 1; failures > 0; failing++)
        {
            failures = 0;
            var image = new CrashStorage { FlushFailureLoses = false, FaultsMayTakeEffect = takesEffect };
            var data = new CrashStorage { FlushFailureLoses = false, FaultsMayTakeEffect = takesEffect };
            var options = new Qcow2CreateOptions
            {
                Size = Size, ClusterSize = extended ? 16384 : Cluster, ExtendedL2 = extended, DataFile = "data", DataFileRaw = raw,
            };
            await Qcow2Image.CreateAsync(image, data, options, Token);
            byte[] durable = new byte[Size];
            var device = await Qcow2Image.OpenAsync(image, new Qcow2OpenOptions { DataFile = data }, Token);
            var failed = failsData ? data : image;
            failed.FailChange = failed.Changes + failing;
            failures += await TryAsync(() => StepsAsync(device, durable));
            failures += await TryAsync(() => device.DisposeAsync());
            failed.FailChange = 0;
            string when = $"raw {raw}, extended {extended}, request {failing} of the {(failsData ? "data file" : "image")}";
            var report = await Qcow2Image.CheckAsync(image, Qcow2Repair.None, cancellationToken: Token);
            Assert.True(report.Corruptions == 0 && report.CheckErrors == 0, when);
            await using var again = await Qcow2Image.OpenAsync(image, new Qcow2OpenOptions { DataFile = data }, Token);
            byte[] found = new byte[8 * Cluster];
            await again.ReadAsync(0, found, Token);
            Assert.True(durable[0] == 0 || found.AsSpan().SequenceEqual(durable.AsSpan(0, found.Length)), when);
        }
    }

    // the first 8 clusters are not touched after they have been flushed
    private static async ValueTask StepsAsync(IQcow2Device device, byte[] durable)
    {
        byte[] first = new byte[8 * Cluster];
        Array.Fill(first, (byte)0x11);
        first.AsSpan(2 * Cluster, Cluster).Clear();
        await device.WriteAsync(0, first.AsMemory(0, 3 * Cluster), cancellationToken: Token);
        await device.WriteAsync(3 * Cluster, first.AsMemory(3 * Cluster), cancellationToken: Token);
        await device.WriteZeroesAsync(2 * Cluster, Cluster, cancellationToken: Token);
        await device.FlushAsync(Token);
        first.CopyTo(durable, 0);
        await device.WriteAsync(20 * Cluster, new byte[] { 1, 2, 3 }, cancellationToken: Token);
        await device.DiscardAsync(16 * Cluster, 8 * Cluster, Token);
        await device.WriteZeroesAsync(10 * Cluster, 512, ZeroFlags.MayUnmap, Token);
        await device.WriteAsync(30 * Cluster, new byte[Cluster], WriteFlags.Fua, Token);
    }

    private static async ValueTask<int> TryAsync(Func<ValueTask> work)
    {
        try
        {
            await work();
            return 0;
        }
        catch (BlockException)
        {
            return 1;
        }
    }
}
