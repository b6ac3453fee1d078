using Paddock.Block;
using Paddock.Images;
using Paddock.Qcow2;

const long MiB = 1 << 20;
var zones = new ZonedCreateOptions { ZoneSize = 4 * MiB, MaxOpenZones = 4 };
await using var disk = await Qcow2Disk.CreateAsync("disk.qcow2", 64 * MiB, new() { Zoned = zones });

// append to the zone that starts at 8 MiB; the disk chooses the place
byte[] block = new byte[4096];
"Hello, zones\n"u8.CopyTo(block);
long offset = await disk.Zones!.AppendAsync(8 * MiB, block);

foreach (var zone in (await disk.Zones.ReportAllAsync()).Where(zone => zone.Condition != ZoneCondition.Empty))
{
    Console.WriteLine($"zone at {zone.Start / MiB} MiB: {zone.Condition}, {zone.WritePointer - zone.Start} bytes written");
}

using var text = new StreamReader(disk.OpenStream());
text.BaseStream.Position = offset;
Console.WriteLine(text.ReadLine());
await DiskCopy.CopyToRawAsync(disk, "disk.raw");
Console.WriteLine($"disk.raw: {new FileInfo("disk.raw").Length / MiB} MiB");
