using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Paddock.Block;
using Paddock.Images;
using Paddock.Server.Live;

namespace Paddock.Web;

/// <summary>The zones of a disk, as JSON or packed.</summary>
internal static class ZoneReplies
{
    /// <summary>Maximum number of zones in a JSON reply.</summary>
    public const int MaxZones = 10_000;

    /// <summary>Bytes before the arrays of a packed reply.</summary>
    public const int PackedHead = 16;

    private const int DefaultZones = 1000;

    /// <summary>
    /// The condition filters: each condition with a hyphen for its space, <c>open</c> and <c>active</c>.
    /// </summary>
    private static readonly Dictionary<string, ZoneConditionSet> States = new(
        Conditions.Names.Select(c => KeyValuePair.Create(c.Value.Replace(' ', '-'), (ZoneConditionSet)(1 << (int)c.Key))),
        StringComparer.Ordinal)
    {
        ["open"] = ZoneConditionSet.Open,
        ["active"] = ZoneConditionSet.Open | ZoneConditionSet.Closed,
    };

    /// <summary>Replies with the zones of a range that match the filters.</summary>
    public static Task JsonAsync(HttpContext context, LiveDisk disk, uint stamp)
    {
        var query = new Query(context.Request.Query);
        int from = (int)query.Number("from", 0, 0, int.MaxValue);
        int count = (int)query.Number("count", DefaultZones, 1, MaxZones);
        uint since = (uint)query.Number("since", 0, 0, uint.MaxValue);
        var (states, table, heat) = (StatesOf(query["state"]), TableOf(disk), disk.Disk.Meter.Heat);
        var found = new List<ApiZone>();
        int zone = from;
        for (; zone < table.Zones && found.Count < count; zone++)
        {
            if (table.Stamp[zone] > since && (states & (ZoneConditionSet)(1 << table.Condition[zone])) != 0)
            {
                found.Add(ZoneOf(disk, table, heat, zone));
            }
        }

        return Replies.JsonAsync(
            context,
            new ApiZones
            {
                Disk = disk.Disk.Name, Stamp = stamp, ZoneCount = table.Zones, Next = zone < table.Zones ? zone : null, Zones = found,
            },
            WebJson.Default.ApiZones);
    }

    /// <summary>
    /// Replies with all zones as little-endian arrays: a head of four 32-bit numbers (stamp, number of zones, bytes of a unit, bytes of
    /// JSON at the end); then for each zone 32 bits of units written, of writes, of resets and of reads, array by array; then a byte of
    /// condition for each (255: not seen yet). With a history, the zones are those of its beginning, and its frames follow as a JSON array.
    /// </summary>
    public static async Task PackedAsync(HttpContext context, LiveDisk disk, uint stamp, History? history)
    {
        _ = TableOf(disk);
        var (zones, frames) = history?.Read() ?? (PastZones.Of(disk, stamp), []);
        byte[] json = history is null ? [] : JsonSerializer.SerializeToUtf8Bytes(frames, WebJson.Default.LiveFrameArray);
        long zoneSize = disk.Disk.Zones!.Limits.ZoneSize;
        uint unit = 512;
        while (zoneSize / unit > int.MaxValue)
        {
            unit *= 2;
        }

        context.Response.ContentType = "application/octet-stream";
        context.Response.ContentLength = PackedHead + ((long)zones.Count * 17) + json.Length;
        byte[] head = new byte[PackedHead];
        BinaryPrimitives.WriteUInt32LittleEndian(head, zones.Stamp);
        BinaryPrimitives.WriteInt32LittleEndian(head.AsSpan(4), zones.Count);
        BinaryPrimitives.WriteUInt32LittleEndian(head.AsSpan(8), unit);
        BinaryPrimitives.WriteInt32LittleEndian(head.AsSpan(12), json.Length);
        await context.Response.Body.WriteAsync(head, context.RequestAborted);
        await WriteAsync(context, zones.Count, zone => (uint)(zones.Written(zone) / unit));
        await WriteAsync(context, zones.Count, zones.Writes);
        await WriteAsync(context, zones.Count, zones.Resets);
        await WriteAsync(context, zones.Count, zones.Reads);
        await context.Response.Body.WriteAsync(zones.Condition, context.RequestAborted);
        await context.Response.Body.WriteAsync(json, context.RequestAborted);
    }

    private static async Task WriteAsync(HttpContext context, int zones, Func<int, uint> valueOf)
    {
        const int Batch = 16384;
        uint[] values = ArrayPool<uint>.Shared.Rent(Batch);
        byte[] bytes = ArrayPool<byte>.Shared.Rent(Batch * sizeof(uint));
        try
        {
            for (int done = 0; done < zones; done += Batch)
            {
                int count = Math.Min(Batch, zones - done);
                for (int i = 0; i < count; i++)
                {
                    values[i] = BitConverter.IsLittleEndian ? valueOf(done + i) : BinaryPrimitives.ReverseEndianness(valueOf(done + i));
                }

                MemoryMarshal.AsBytes(values.AsSpan(0, count)).CopyTo(bytes);
                await context.Response.Body.WriteAsync(bytes.AsMemory(0, count * sizeof(uint)), context.RequestAborted);
            }
        }
        finally
        {
            ArrayPool<uint>.Shared.Return(values);
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }

    private static uint Count(ZoneHeat? heat, int zone, Func<ZoneHeat, int, uint> of)
        => heat is not null && zone < heat.Zones ? of(heat, zone) : 0;

    private static ApiZone ZoneOf(LiveDisk disk, ZoneTable table, ZoneHeat? heat, int zone)
    {
        var limits = disk.Disk.Zones!.Limits;
        long start = zone * limits.ZoneSize, rest = Math.Max(0, disk.Disk.Device.Length - start);
        var condition = (ZoneCondition)table.Condition[zone];
        bool conventional = condition == ZoneCondition.NotWritePointer;
        return new ApiZone
        {
            Zone = zone,
            Start = start,
            Capacity = Math.Min(conventional ? limits.ZoneSize : limits.ZoneCapacity, rest),
            WritePointer = conventional ? null : condition == ZoneCondition.Full ? start + limits.ZoneSize : start + table.Written[zone],
            Written = table.Written[zone],
            Condition = Conditions.Names[condition],
            Writes = Count(heat, zone, static (h, z) => h.Writes(z)),
            Resets = Count(heat, zone, static (h, z) => h.Resets(z)),
            Reads = Count(heat, zone, static (h, z) => h.Reads(z)),
            Stamp = table.Stamp[zone],
        };
    }

    private static ZoneTable TableOf(LiveDisk disk)
        => disk.Zones?.Table ?? throw new ToolException($"'{disk.Disk.Name}' has no zones");

    private static ZoneConditionSet StatesOf(string? text)
    {
        if (text is null)
        {
            return ZoneConditionSet.All;
        }

        var set = ZoneConditionSet.None;
        foreach (string name in text.Split(','))
        {
            set |= States.TryGetValue(name, out var one) ? one
                : throw new ToolException($"state={name}: expected one of {string.Join(", ", States.Keys)}, or several with commas");
        }

        return set;
    }
}
