using System.Text;
using Microsoft.Win32.SafeHandles;
using Paddock.Posix;
using Paddock.VfioUser.Wire;

namespace Paddock.Testing.Protocols.VfioUser;

/// <summary>A PCI device as a virtual machine monitor sees it.</summary>
internal sealed class PciDevice(VfioClient client)
{
    public const string QemuCapabilities =
        "{\"capabilities\": {\"migration\": {\"max_bitmap_size\": 268435456, \"pgsize\": 4096}, \"max_msg_fds\": 16, "
        + "\"max_data_xfer_size\": 1048576, \"max_dma_maps\": 65535, \"pgsizes\": 4096, \"write_multiple\": true}}";

    public VfioClient Client => client;

    /// <summary>Sends the version and capabilities.</summary>
    public VfioReply Greet(string json = QemuCapabilities, ushort major = 0)
    {
        byte[] text = Encoding.UTF8.GetBytes(json), payload = new byte[4 + text.Length + 1];
        BitConverter.TryWriteBytes(payload, major);
        text.CopyTo(payload, 4);
        return client.Ask(Command.Version, payload);
    }

    public int Map(DeviceMemory memory, bool withFile = true, DmaFlags flags = DmaFlags.Readable | DmaFlags.Writable)
        => Map(new DmaMap(flags, 0, memory.Address, memory.Length), withFile ? memory.File : null);

    public int Map(DmaMap map, SafeFileHandle? file) => client.Ask(Command.DmaMap, PayloadOf(map), file is null ? [] : [file]).Error;

    public int Unmap(ulong address, ulong length, UnmapFlags flags = UnmapFlags.None)
        => client.Ask(Command.DmaUnmap, PayloadOf(new DmaUnmap(flags, address, length))).Error;

    public byte[] Read(uint region, ulong offset, int count)
    {
        byte[] payload = new byte[RegionAccess.Size];
        new RegionAccess(offset, region, (uint)count).WriteTo(payload);
        var reply = client.Ask(Command.RegionRead, payload);
        return reply.Error == 0 ? reply.Payload[RegionAccess.Size..] : throw new IOException($"error {reply.Error}");
    }

    public uint Read32(uint region, ulong offset) => BitConverter.ToUInt32(Read(region, offset, 4));

    public int Write(uint region, ulong offset, params byte[] data)
        => client.Ask(Command.RegionWrite, PayloadOf(region, offset, data)).Error;

    public int Write32(uint region, ulong offset, uint value) => Write(region, offset, BitConverter.GetBytes(value));

    public void Write64(uint region, ulong offset, ulong value)
    {
        Write32(region, offset, (uint)value);
        Write32(region, offset + 4, (uint)(value >> 32));
    }

    /// <summary>Writes without waiting.</summary>
    public void Post32(uint region, ulong offset, uint value)
    {
        Span<byte> payload = stackalloc byte[RegionAccess.Size + sizeof(uint)];
        new RegionAccess(offset, region, sizeof(uint)).WriteTo(payload);
        BitConverter.TryWriteBytes(payload[RegionAccess.Size..], value);
        client.Post(Command.RegionWrite, payload);
    }

    public int SetIrqs(IrqSetFlags flags, uint index, uint start, uint count, params EventDescriptor[] events)
    {
        byte[] payload = new byte[IrqSet.Size];
        new IrqSet(flags, index, start, count).WriteTo(payload);
        return client.Ask(Command.SetIrqs, payload, [.. events.Select(e => e.Handle)]).Error;
    }

    public int Reset() => client.Ask(Command.Reset, []).Error;

    public (RegionInfo Info, uint Needs, VfioReply Reply) RegionOf(uint index, uint room = RegionInfo.Size)
    {
        byte[] payload = new byte[Math.Max(room, RegionInfo.Size)];
        RegionInfo.WriteRequest(payload, index, room);
        var reply = client.Ask(Command.GetRegionInfo, payload);
        if (reply.Error != 0)
        {
            return (default, 0, reply);
        }

        var (info, needs) = RegionInfo.ParseReply(reply.Payload);
        return (info, needs, reply);
    }

    public static byte[] PayloadOf(DmaMap map)
    {
        byte[] payload = new byte[DmaMap.Size];
        map.WriteTo(payload);
        return payload;
    }

    public static byte[] PayloadOf(DmaUnmap unmap)
    {
        byte[] payload = new byte[DmaUnmap.Size];
        unmap.WriteTo(payload);
        return payload;
    }

    public static byte[] PayloadOf(uint region, ulong offset, byte[] data)
    {
        byte[] payload = new byte[RegionAccess.Size + data.Length];
        new RegionAccess(offset, region, (uint)data.Length).WriteTo(payload);
        data.CopyTo(payload, RegionAccess.Size);
        return payload;
    }
}
