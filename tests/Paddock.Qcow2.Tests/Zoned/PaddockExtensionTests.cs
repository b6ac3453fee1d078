using System.Buffers.Binary;
using System.Text;
using Paddock.Block;
using Paddock.Qcow2.Format;
using Paddock.Qcow2.Zoned;

namespace Paddock.Qcow2.Tests.Zoned;

/// <summary>READ ONLY and OFFLINE zones, kept in Paddock's own extension (zoned-qcow2.md 1.4).</summary>
public class PaddockExtensionTests
{
    private const int Zone = 1 << 20;
    private const int Cluster = 65536;

    [Fact]
    public void Extension_matches_its_documentation_byte_for_byte()
    {
        var data = new byte[PaddockExtension.Size];
        new PaddockExtension(8, new HostOffset(0x50000)).WriteTo(data);
        Assert.Equal(Convert.FromHexString("0000000100000008000000000005000000000000000000000000000000000000"), data);
        new PaddockExtension(
            0, default) { ExtensionBytes = 64, DirectoryEntries = 3, DirectoryOffset = new HostOffset(0x70000) }.WriteTo(data);
        Assert.Equal(Convert.FromHexString("0000000100000000000000000000000000000040000000030000000000070000"), data);
        var table = ZoneConditionTable.Build([0, ZoneCondition.ReadOnly, ZoneCondition.Full, ZoneCondition.Offline]);
        Assert.Equal(20, table.Length);
        Assert.Equal("PDKZCOND", Encoding.ASCII.GetString(table.AsSpan(0, 8)));
        Assert.Equal(Convert.FromHexString("00000004"), table[8..12]);
        Assert.Equal(Convert.FromHexString("000D000F"), table[16..]);
        Assert.Equal(0xe3069283u, SlowCrc32C("123456789"u8)); // the check value that is published with the polynomial
        Assert.Equal(SlowCrc32C(table.AsSpan(16)), BinaryPrimitives.ReadUInt32BigEndian(table.AsSpan(12)));
        var longer = ZoneConditionTable.Build(new ZoneCondition[21]);
        Assert.Equal(SlowCrc32C(new byte[21]), BinaryPrimitives.ReadUInt32BigEndian(longer.AsSpan(12)));
    }

    [Theory]
    [InlineData(0, 2u, "version is 2")]
    [InlineData(4, 1_048_577u, "conditions_zones is 1048577")]
    [InlineData(12, 0x50200u, "conditions_offset is 328192")]
    [InlineData(12, 0x100000u, "conditions_offset is 1048576")]
    [InlineData(8, 0xffffffffu, "conditions_offset is ")]
    [InlineData(16, 65u, "extension_bytes is 65")]
    [InlineData(16, 512u, "extension_bytes is 512")]
    [InlineData(20, 1_048_577u, "directory_entries is 1048577")]
    [InlineData(20, 2_054u, "directory_entries is 2054, and must be at most 2053")]
    [InlineData(28, 0x50200u, "directory_offset is 328192")]
    [InlineData(28, 0x100000u, "directory_offset is 1048576")]
    public void Field_beyond_its_limit_is_named(int at, uint value, string problem)
    {
        var data = new byte[PaddockExtension.Size];
        new PaddockExtension(8, new HostOffset(0x50000)) { ExtensionBytes = 64 }.WriteTo(data);
        BinaryPrimitives.WriteUInt32BigEndian(data.AsSpan(at), value);
        Assert.Null(PaddockExtension.Parse(data, Cluster, 0x100000, out string? found));
        Assert.StartsWith(problem, found, StringComparison.Ordinal);
        Assert.Null(PaddockExtension.Parse(data.AsSpan(0, 15), Cluster, 0x100000, out _));
    }

    [Fact]
    public async Task Read_only_and_offline_zones_persist_and_check_finds_nothing()
    {
        var storage = await Make(ZoneConditionTable.Build([0, ZoneCondition.ReadOnly, 0, ZoneCondition.Offline]));
        for (int session = 0; session < 2; session++)
        {
            await using var disk = await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions());
            var zones = new ZoneDescriptor[4];
            await disk.Zones!.ReportAsync(0, zones);
            var first = session == 0 ? ZoneCondition.Empty : ZoneCondition.Closed;
            Assert.Equal(
                [first, ZoneCondition.ReadOnly, ZoneCondition.Empty, ZoneCondition.Offline],
                zones.Select(z => z.Condition));
            Assert.Equal(ZoneError.ReadOnly, await Refusal(disk, Zone));
            Assert.Equal(ZoneError.Offline, await Refusal(disk, 3 * Zone));
            await disk.Zones!.AppendAsync(0, new byte[512]);
        }

        var report = await Qcow2Image.CheckAsync(storage, Qcow2Repair.None, Assert.Fail);
        Assert.Equal((0, 0), (report.Corruptions, report.Leaks));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(17)]
    public async Task Overwritten_table_is_ignored_with_a_warning(int at)
    {
        var table = ZoneConditionTable.Build([0, ZoneCondition.ReadOnly, 0, ZoneCondition.Offline]);
        table[at] ^= 0x40;
        await using var disk = await Qcow2Image.OpenAsync(await Make(table), new Qcow2OpenOptions());
        Assert.Contains(disk.Warnings, w => w.Contains("condition table", StringComparison.Ordinal));
        await disk.WriteAsync(Zone, new byte[512]);
    }

    private static uint SlowCrc32C(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte value in bytes)
        {
            crc ^= value;
            for (int bit = 0; bit < 8; bit++)
            {
                crc = (crc >> 1) ^ ((crc & 1) * 0x82f63b78);
            }
        }

        return ~crc;
    }

    private static async Task<ZoneError> Refusal(IBlockDevice disk, long zone)
        => (await Assert.ThrowsAsync<ZoneException>(async () => await disk.Zones!.AppendAsync(zone, new byte[512]))).Reason;

    /// <summary>A disk of four zones to which a condition table was added at the end of the file, counted, and named in the
    /// header.</summary>
    private static async Task<KeptStorage> Make(byte[] table)
    {
        var storage = new KeptStorage(new MemoryStorage());
        var zoned = new ZonedCreateOptions { ZoneSize = Zone };
        await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = 4 * Zone, Zoned = zoned });
        long at = (storage.Length + Cluster - 1) / Cluster * Cluster;
        await storage.WriteAsync(at, (byte[])[.. table, .. new byte[Cluster - table.Length]]);
        await storage.WriteAsync((2L * Cluster) + (at / Cluster * 2), new byte[] { 0, 1 });

        var header = new byte[Cluster];
        await storage.ReadAsync(0, header);
        var extensions = HeaderExtension.ParseAll(header.AsSpan(Qcow2Header.SizeV3));
        var data = new byte[PaddockExtension.Size];
        new PaddockExtension(4, new HostOffset(at)).WriteTo(data);
        extensions.Add(new HeaderExtension(HeaderExtension.Paddock, data));
        header.AsSpan(Qcow2Header.SizeV3).Clear();
        HeaderExtension.WriteAll(extensions, header.AsSpan(Qcow2Header.SizeV3));
        await storage.WriteAsync(0, header);
        return storage;
    }
}
