// Zone appends a second, and commands of the NVMe controller on a PCI bus, in process: paddock-bench FOLDER [MIB [CASE]]. One line a
// case: name, appends or commands a second, bytes allocated for one. Loads on images and servers: paddock bench.
// Or commands a second of a vfio-user server: paddock-bench vfio-user SOCKET LOAD SIZE DEPTH SECONDS NAMESPACE ZONEBYTES [trapped] [poll].
// Prints commands a second, p50 and p99.9 in us, doorbell messages a command, commands.
using System.Diagnostics;
using System.Globalization;
using Paddock.Bench;
using Paddock.Nvme.Wire;
using Paddock.Posix;
using Paddock.Qcow2;

const int AppendBytes = 4096;
const long FlushEvery = 64 << 20;
const long Mib = 1 << 20;

if (args is ["vfio-user", var socket, var load, var size, var depth, var seconds, var ns, var zone, .. var rest])
{
    VfioUserLoad.Run(new VfioUserArguments(
        socket, load, Number(size), Number(depth), Number(seconds), (uint)Number(ns), Number(zone), rest.Contains("trapped"),
        rest.Contains("poll")));
    return 0;
}

string folder = args.Length > 0 ? args[0] : Path.GetTempPath();
long total = (args.Length > 1 ? long.Parse(args[1], CultureInfo.InvariantCulture) : 2048) * Mib;
string only = args.Length > 2 ? args[2] : "";
await RunAsync("append-1-zone", zoneSize: 256 * Mib, zones: 64, inTurn: 1);
await RunAsync("append-64-zones", zoneSize: 256 * Mib, zones: 64, inTurn: 64);
await RunAsync("append-1-zone-of-1048576", zoneSize: 4 * Mib, zones: 1_048_576, inTurn: 1);
await RunAsync("append-64-zones-of-1048576", zoneSize: 4 * Mib, zones: 1_048_576, inTurn: 64);
await RunPcieAsync("pcie-read-4k-depth-1", Opcode.Read, depth: 1);
await RunPcieAsync("pcie-read-4k-depth-32", Opcode.Read, depth: 32);
await RunPcieAsync("pcie-write-4k-depth-32", Opcode.Write, depth: 32);
return 0;

static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);

async Task RunPcieAsync(string name, byte opcode, int depth)
{
    if (!name.StartsWith(only, StringComparison.Ordinal))
    {
        return;
    }

    string path = Path.Combine(folder, $"paddock-bench-{Environment.ProcessId}.qcow2");
    try
    {
        await using (var storage = FileStorage.Open(new FileOpenOptions { Path = path, Create = true }))
        {
            await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = 64 * Mib });
        }

        await using var disk = await Qcow2Image.OpenAsync(
            FileStorage.Open(new FileOpenOptions { Path = path }), new Qcow2OpenOptions());
        byte[] data = new byte[Mib];
        new Random(1).NextBytes(data);
        for (long at = 0; at < disk.Length; at += Mib)
        {
            await disk.WriteAsync(at, data);
        }

        await PcieLoad.RunAsync(disk, name, opcode, depth, TimeSpan.FromSeconds(3));
    }
    finally
    {
        File.Delete(path);
    }
}

async Task RunAsync(string name, long zoneSize, int zones, int inTurn)
{
    if (!name.StartsWith(only, StringComparison.Ordinal))
    {
        return;
    }

    string path = Path.Combine(folder, $"paddock-bench-{Environment.ProcessId}.qcow2");
    try
    {
        await using (var storage = FileStorage.Open(new FileOpenOptions { Path = path, Create = true }))
        {
            await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions
            {
                Size = zoneSize * zones,
                Zoned = new ZonedCreateOptions { ZoneSize = zoneSize },
            });
        }

        long opening = Stopwatch.GetTimestamp();
        var disk = await Qcow2Image.OpenAsync(
            FileStorage.Open(new FileOpenOptions { Path = path }), new Qcow2OpenOptions());
        var opened = Stopwatch.GetElapsedTime(opening);
        var data = new byte[AppendBytes];
        new Random(1).NextBytes(data);
        long count = Math.Min(total, zoneSize * zones) / AppendBytes;
        long perZone = zoneSize / AppendBytes;
        long before = GC.GetTotalAllocatedBytes();
        long start = Stopwatch.GetTimestamp();
        for (long i = 0; i < count; i++)
        {
            long zone = (i / (perZone * inTurn) * inTurn) + (i % inTurn);
            await disk.Zones!.AppendAsync(zone * zoneSize, data);
            if ((i + 1) * AppendBytes % FlushEvery == 0)
            {
                await disk.FlushAsync();
            }
        }

        var took = Stopwatch.GetElapsedTime(start);
        double allocated = (GC.GetTotalAllocatedBytes() - before) / (double)count;
        await disk.DisposeAsync();
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{name,-28} {count / took.TotalSeconds,10:F0} appends/s {allocated,8:F1} bytes allocated an append, opened in "
                + $"{opened.TotalMilliseconds:F1} ms"));
    }
    finally
    {
        File.Delete(path);
    }
}
