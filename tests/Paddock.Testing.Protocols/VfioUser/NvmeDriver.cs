using Paddock.Posix;
using Paddock.VfioUser.Wire;

namespace Paddock.Testing.Protocols.VfioUser;

/// <summary>A small NVMe driver over vfio-user: what a guest's driver does, without a guest.</summary>
internal sealed unsafe class NvmeDriver : IDisposable
{
    public const uint Bar = RegionIndex.Bar0, Configuration = RegionIndex.Configuration;
    public const uint DoorbellsAt = 0x1000, Cc = 0x14, Csts = 0x1C, Aqa = 0x24, Asq = 0x28, Acq = 0x30;
    public const byte Flush = 0, Write = 1, Read = 2, ManagementSend = 0x79, ManagementReceive = 0x7A, Append = 0x7D;
    public const int AdminEntries = 32;

    // shadow doorbells, their event indexes, and a page for data of admin commands
    private const ulong ShadowAt = 0x1000, EventsAt = 0x2000, BufferAt = 0x3000, QueuesAt = 0x4000;
    private const uint CommandRegister = 4, BusMasterAndMemory = 6, MsiXControl = 0x52, MsiXEnable = 0x8000;
    private const uint Enable = 0x460001;

    private readonly SharedMemory? _mapped;
    private ulong _next;
    private bool _hasShadow;

    public NvmeDriver(PciDevice device, DeviceMemory memory)
    {
        (Device, Memory) = (device, memory);
        Admin = new DriverQueue(this, 0, AdminEntries, memory.Address + QueuesAt);
        _next = Admin.End;
        var (info, needs, _) = device.RegionOf(Bar);
        if (needs > RegionInfo.Size)
        {
            (info, _, var reply) = device.RegionOf(Bar, needs);
            _mapped = SharedMemory.Map(reply.Descriptors[0], (long)info.AreaOffset, (long)info.AreaLength);
            reply.Descriptors[0].Dispose();
        }
    }

    public PciDevice Device { get; }

    public DeviceMemory Memory { get; }

    public DriverQueue Admin { get; }

    /// <summary>Data of admin commands: a page.</summary>
    public ulong Buffer => Memory.Address + BufferAt;

    /// <summary>Doorbell writes that the server was told of.</summary>
    public long Doorbells { get; private set; }

    /// <summary>Whether doorbells are written into memory that the server shares.</summary>
    public bool HasMappedDoorbells => _mapped is not null;

    /// <summary>Connects, shares the memory, and enables the controller.</summary>
    public static NvmeDriver Start(VfioClient client, DeviceMemory memory, bool withFile = true, bool msix = true)
    {
        var device = new PciDevice(client);
        device.Greet();
        if (device.Map(memory, withFile) is not 0 and var error)
        {
            throw new IOException($"the memory is rejected: error {error}");
        }

        var driver = new NvmeDriver(device, memory);
        driver.EnableController(msix);
        return driver;
    }

    /// <summary>Resets and enables the controller, with its admin queue.</summary>
    public void EnableController(bool msix = true)
    {
        Device.Write(Configuration, CommandRegister, (byte)BusMasterAndMemory, 0);
        if (msix)
        {
            Device.Write(Configuration, MsiXControl, 0, (byte)(MsiXEnable >> 8));
            Device.SetIrqs(IrqSetFlags.DataEvent | IrqSetFlags.Trigger, IrqIndex.MsiX, 0, 1, Admin.Event);
        }
        else
        {
            Device.SetIrqs(IrqSetFlags.DataEvent | IrqSetFlags.Trigger, IrqIndex.Pin, 0, 1, Admin.Event);
        }

        Device.Write32(Bar, Cc, 0);
        WaitForStatus(0);
        Device.Write32(Bar, Aqa, (AdminEntries - 1) | ((AdminEntries - 1) << 16));
        Device.Write64(Bar, Asq, Admin.At);
        Device.Write64(Bar, Acq, Admin.Completions);
        Device.Write32(Bar, Cc, Enable);
        WaitForStatus(1);
    }

    /// <summary>Enables the controller after a reset; the I/O queues are gone.</summary>
    public void Restart()
    {
        Admin.Clear();
        _hasShadow = false;
        _next = Admin.End;
        EnableController();
    }

    /// <summary>Offers shadow doorbells to the controller; false if it does not support them.</summary>
    public bool ShareDoorbells()
    {
        new Span<byte>(Memory.At(Memory.Address + ShadowAt), 2 * DriverQueue.Page).Clear();
        var done = Put(0x7C, 0, Memory.Address + ShadowAt, Memory.Address + EventsAt);
        _hasShadow = done.Status == 0;
        return _hasShadow;

        Completed Put(byte opcode, uint nsid, ulong first, ulong second)
        {
            Admin.Put(opcode, nsid, first);
            var entry = Memory.At(Admin.At + (Admin.LastEntry * DriverQueue.EntrySize));
            *(ulong*)(entry + 32) = second;
            Admin.Ring();
            return Admin.Take();
        }
    }

    /// <summary>Creates an I/O queue pair with its interrupt.</summary>
    public DriverQueue CreateQueue(int id, int entries, bool msix = true)
    {
        var queue = new DriverQueue(this, id, entries, _next);
        _next = queue.End;
        if (msix)
        {
            Device.SetIrqs(IrqSetFlags.DataEvent | IrqSetFlags.Trigger, IrqIndex.MsiX, (uint)id, 1, queue.Event);
        }

        uint size = (uint)id | ((uint)(entries - 1) << 16);
        Check(Admin.Run(5, 0, queue.Completions, 0, size, 3u | ((msix ? (uint)id : 0) << 16)), "create completion queue");
        Check(Admin.Run(1, 0, queue.At, 0, size, 1u | ((uint)id << 16)), "create submission queue");
        return queue;
    }

    /// <summary>Reserves memory for data, in whole pages.</summary>
    public ulong Reserve(int bytes)
    {
        ulong at = _next;
        _next += DriverQueue.Pages(bytes);
        return _next - Memory.Address <= Memory.Length ? at : throw new InvalidOperationException("the memory is used up");
    }

    /// <summary>Identify; the data are in <see cref="Buffer"/>.</summary>
    public Completed Identify(byte structure, uint nsid = 0, byte commandSet = 0)
        => Admin.Run(6, nsid, Buffer, DriverQueue.Page, structure, (uint)commandSet << 24);

    /// <summary>Writes a doorbell; with shadow doorbells, the server is told only if it wants to be.</summary>
    public void RingDoorbell(int index, uint value)
    {
        if (index >= 2 && _mapped is null && _hasShadow)
        {
            ref uint shadow = ref Memory.U32(Memory.Address + ShadowAt + ((ulong)index * sizeof(uint)));
            uint before = shadow;
            Interlocked.MemoryBarrier();
            Volatile.Write(ref shadow, value);
            Interlocked.MemoryBarrier();
            uint wanted = Volatile.Read(ref Memory.U32(Memory.Address + EventsAt + ((ulong)index * sizeof(uint))));
            if ((ushort)(value - wanted - 1) >= (ushort)(value - before))
            {
                return;
            }
        }

        if (_mapped is not null)
        {
            Interlocked.MemoryBarrier();
            Volatile.Write(ref ((uint*)_mapped.Start)[index], value);
            return;
        }

        Doorbells++;
        Device.Post32(Bar, DoorbellsAt + ((ulong)index * sizeof(uint)), value);
    }

    public void Dispose()
    {
        _mapped?.Dispose();
        Admin.Dispose();
        Device.Client.Dispose();
    }

    public static void Check(Completed done, string what)
    {
        if (done.Status != 0)
        {
            throw new IOException($"{what}: status 0x{done.Status:x}");
        }
    }

    private void WaitForStatus(uint ready)
    {
        if (!SpinWait.SpinUntil(() => (Device.Read32(Bar, Csts) & 1) == ready, TimeSpan.FromSeconds(30)))
        {
            throw new TimeoutException($"CSTS is {Device.Read32(Bar, Csts):x}: expected bit 0 to be {ready}");
        }
    }
}
