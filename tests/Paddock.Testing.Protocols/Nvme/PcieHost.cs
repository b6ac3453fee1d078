using System.Buffers.Binary;
using Paddock.Nvme.Pcie;
using Paddock.Nvme.Wire;

namespace Paddock.Testing.Protocols.Nvme;

/// <summary>A queue pair of a <see cref="PcieHost"/>.</summary>
internal sealed class HostQueuePair(ushort id, ulong submission, ulong completion, int entries)
{
    public ushort Id => id;

    public ulong Submission => submission;

    public ulong Completion => completion;

    public int Entries => entries;

    public int Tail { get; set; }

    public int Head { get; set; }

    public bool Phase { get; set; } = true;

    public ushort NextCommand { get; set; } = 1;
}

/// <summary>A driver for a controller on a PCI bus, which waits by polling.</summary>
internal sealed class PcieHost(PcieController controller, HostMemory memory)
{
    public const uint Enabled = 0x460061;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    public PcieController Controller => controller;

    public HostMemory Memory => memory;

    public HostQueuePair Admin { get; private set; } = null!;

    /// <summary>Pages of the shadow doorbells and of the event indexes; 0 when they are not used.</summary>
    public ulong Shadow { get; private set; }

    public ulong Events { get; private set; }

    public uint Status => Read(Properties.Status);

    public uint Read(uint offset)
    {
        Span<byte> value = stackalloc byte[4];
        controller.ReadRegister(offset, value);
        return BinaryPrimitives.ReadUInt32LittleEndian(value);
    }

    public ulong Read8(uint offset)
    {
        Span<byte> value = stackalloc byte[8];
        controller.ReadRegister(offset, value);
        return BinaryPrimitives.ReadUInt64LittleEndian(value);
    }

    public void Write(uint offset, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        controller.WriteRegister(offset, bytes);
    }

    public void Write8(uint offset, ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        controller.WriteRegister(offset, bytes);
    }

    /// <summary>Sets up the admin queues and enables the controller.</summary>
    public void Enable(int entries = 32, uint configuration = Enabled)
    {
        controller.BusMaster = true;
        Admin = new HostQueuePair(0, memory.Allocate(entries * 64), memory.Allocate(entries * 16), entries);
        Write(Properties.AdminQueueAttributes, (uint)((entries - 1) | ((entries - 1) << 16)));
        Write8(Properties.AdminSubmissionQueue, Admin.Submission);
        Write8(Properties.AdminCompletionQueue, Admin.Completion);
        Write(Properties.Configuration, configuration & ~1u);
        Write(Properties.Configuration, configuration);
        (Shadow, Events) = (0, 0);
        WaitUntil(() => (Status & (Properties.Ready | Properties.Fatal)) != 0);
    }

    public void Disable()
    {
        Write(Properties.Configuration, Enabled & ~1u);
        WaitUntil(() => Status == 0);
    }

    /// <summary>Creates a queue pair; the vector is that of its identifier.</summary>
    public HostQueuePair CreateQueues(ushort id, int entries = 64, int? vector = null)
    {
        var pair = new HostQueuePair(id, memory.Allocate(entries * 64), memory.Allocate(entries * 16), entries);
        Expect(NvmeStatus.Success, Run(CreateCompletion(id, pair.Completion, entries, vector ?? id)));
        Expect(NvmeStatus.Success, Run(CreateSubmission(id, pair.Submission, entries, id)));
        return pair;
    }

    public static SubmissionEntry CreateCompletion(ushort id, ulong address, int entries, int vector) => new()
    {
        Opcode = AdminOpcode.CreateIoCompletionQueue, DataAddress = address, Dword10 = id | ((uint)(entries - 1) << 16),
        Dword11 = 3 | ((uint)vector << 16),
    };

    public static SubmissionEntry CreateSubmission(ushort id, ulong address, int entries, ushort completion) => new()
    {
        Opcode = AdminOpcode.CreateIoSubmissionQueue, DataAddress = address, Dword10 = id | ((uint)(entries - 1) << 16),
        Dword11 = 1 | ((uint)completion << 16),
    };

    public void UseShadowDoorbells()
    {
        ulong shadow = memory.Allocate(4096), events = memory.Allocate(4096);
        Expect(NvmeStatus.Success, Run(new SubmissionEntry
        {
            Opcode = AdminOpcode.DoorbellBufferConfig, DataAddress = shadow, Prp2 = events,
        }));
        (Shadow, Events) = (shadow, events);
    }

    /// <summary>Runs an admin command.</summary>
    public CompletionEntry Run(SubmissionEntry entry) => Run(Admin, entry);

    public CompletionEntry Run(HostQueuePair queue, SubmissionEntry entry)
    {
        Submit(queue, entry);
        return Wait(queue);
    }

    /// <summary>Writes a command into the queue, and rings the doorbell.</summary>
    public ushort Submit(HostQueuePair queue, SubmissionEntry entry, bool rings = true)
    {
        ushort id = queue.NextCommand++;
        entry = Renamed(entry, id);
        entry.WriteTo(memory.At(queue.Submission + (ulong)(queue.Tail * 64), 64));
        queue.Tail = (queue.Tail + 1) % queue.Entries;
        if (rings)
        {
            Ring(queue);
        }

        return id;
    }

    /// <summary>Passes the tail of a submission queue on.</summary>
    public void Ring(HostQueuePair queue) => Move(queue, 2 * queue.Id, (uint)queue.Tail);

    /// <summary>Takes a completion if there is one.</summary>
    public CompletionEntry? Take(HostQueuePair queue, bool rings = true)
    {
        Interlocked.MemoryBarrier();
        var entry = CompletionEntry.Read(memory.At(queue.Completion + (ulong)(queue.Head * 16), 16));
        if (entry.Phase != queue.Phase)
        {
            return null;
        }

        queue.Head++;
        if (queue.Head == queue.Entries)
        {
            queue.Head = 0;
            queue.Phase = !queue.Phase;
        }

        if (rings)
        {
            RingHead(queue);
        }

        return entry;
    }

    public void RingHead(HostQueuePair queue) => Move(queue, (2 * queue.Id) + 1, (uint)queue.Head);

    public CompletionEntry Wait(HostQueuePair queue)
    {
        CompletionEntry? found = null;
        WaitUntil(() => (found = Take(queue)) is not null || (Status & Properties.Fatal) != 0);
        return found ?? throw new InvalidOperationException($"the controller has failed: {controller.Fault}");
    }

    public static void WaitUntil(Func<bool> condition)
    {
        long end = Environment.TickCount64 + (long)Patience.TotalMilliseconds;
        var spinner = default(SpinWait);
        while (!condition())
        {
            Assert.True(Environment.TickCount64 < end, "nothing happened for 30 s");
            spinner.SpinOnce(sleep1Threshold: 1000);
        }
    }

    public static void Expect(NvmeStatus status, CompletionEntry entry) => Assert.Equal(status, entry.Status);

    public static SubmissionEntry Renamed(SubmissionEntry entry, ushort id)
    {
        Span<byte> bytes = stackalloc byte[SubmissionEntry.Size];
        entry.WriteTo(bytes);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[2..], id);
        return SubmissionEntry.Read(bytes);
    }

    // as Linux does: the doorbell is written only if the event index lies between the old and the new position
    private void Move(HostQueuePair queue, int index, uint value)
    {
        if (Shadow != 0 && queue.Id != 0)
        {
            var entry = memory.At(Shadow + (ulong)(index * 4), 4);
            uint old = BinaryPrimitives.ReadUInt32LittleEndian(entry);
            Interlocked.MemoryBarrier();
            BinaryPrimitives.WriteUInt32LittleEndian(entry, value);
            Interlocked.MemoryBarrier();
            uint events = BinaryPrimitives.ReadUInt32LittleEndian(memory.At(Events + (ulong)(index * 4), 4));
            if ((ushort)(value - events - 1) >= (ushort)(value - old))
            {
                return;
            }
        }

        Write(PcieController.DoorbellOffset + (uint)(index * 4), value);
    }
}
