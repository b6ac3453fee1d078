using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using Paddock.Block;
using Paddock.Nvme;
using Paddock.Nvme.Pcie;
using Paddock.Nvme.Wire;

namespace Paddock.Bench;

/// <summary>Commands a second of the controller on a PCI bus, driven in process: no messages, no guest.</summary>
internal sealed class PcieLoad : IDeviceMemory, IInterrupts, IAsyncDisposable
{
    private const int MemoryBytes = 1 << 20, Block = 4096, Entries = 128;
    private const uint AdminSubmission = 0, AdminCompletion = 0x1000, Submission = 0x4000, Completion = 0x8000, Data = 0x10000;
    private const uint EnabledConfiguration = 0x460061;

    private readonly byte[] _memory = GC.AllocateArray<byte>(MemoryBytes, pinned: true);
    private readonly PcieController _controller;
    private readonly int[] _tails = new int[2], _heads = new int[2];
    private readonly bool[] _phases = [true, true];

    private PcieLoad(NvmeTarget target, NvmeSubsystem subsystem)
        => _controller = new PcieController(target, subsystem, new PcieOptions { IoQueues = 1, Vectors = 2 }, this, this);

    public bool IsMessageSignalled => true;

    /// <summary>Runs commands of 4 KiB on a disk for so long, and prints how many a second.</summary>
    public static async Task RunAsync(IBlockDevice disk, string name, byte opcode, int depth, TimeSpan time)
    {
        var target = new NvmeTarget(new NvmeTargetOptions());
        var subsystem = new NvmeSubsystem("nqn.2026-01.io.paddock:bench", "BENCH");
        subsystem.Add(new NvmeNamespace(1, disk, Block, "bench"));
        await using var load = new PcieLoad(target, subsystem);
        load.Prepare();
        load.Drive(opcode, depth, disk.Length / Block, TimeSpan.FromSeconds(1));
        double before = WorkerSeconds();
        long allocated = GC.GetTotalAllocatedBytes();
        var (commands, took) = load.Drive(opcode, depth, disk.Length / Block, time);
        allocated = GC.GetTotalAllocatedBytes() - allocated;
        double used = WorkerSeconds() - before;
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{name,-28} {commands / took.TotalSeconds,10:F0} commands/s {allocated / (double)commands,8:F1} bytes allocated "
                + $"a command, {used * 1e6 / commands:F2} us of the worker's processor time a command"));
    }

    public ValueTask DisposeAsync() => _controller.DisposeAsync();

    public bool TryRead(ulong address, Span<byte> to)
    {
        if (address > MemoryBytes || (ulong)to.Length > MemoryBytes - address)
        {
            return false;
        }

        _memory.AsSpan((int)address, to.Length).CopyTo(to);
        return true;
    }

    public bool TryWrite(ulong address, ReadOnlySpan<byte> from)
    {
        if (address > MemoryBytes || (ulong)from.Length > MemoryBytes - address)
        {
            return false;
        }

        Volatile.WriteBarrier();
        from.CopyTo(_memory.AsSpan((int)address));
        return true;
    }

    public void Stop()
    {
    }

    public void Resume()
    {
    }

    public void Raise(int vector)
    {
    }

    public void SetPin(bool asserted)
    {
    }

    public void UnmaskPin()
    {
    }

    // fields 14 and 15 of a thread's stat: time in units of 10 ms; the name in parentheses may contain blanks
    private static double WorkerSeconds()
        => Directory.GetDirectories("/proc/self/task")
            .Where(task => File.ReadAllText(Path.Combine(task, "comm")).TrimEnd() == "nvme pcie")
            .Select(task => File.ReadAllText(Path.Combine(task, "stat")))
            .Select(stat => stat[(stat.LastIndexOf(')') + 2)..].Split(' '))
            .Sum(fields => (TicksOf(fields[11]) + TicksOf(fields[12])) / 100.0);

    private static long TicksOf(string field) => long.Parse(field, CultureInfo.InvariantCulture);

    private void Prepare()
    {
        _controller.BusMaster = true;
        Write(Properties.AdminQueueAttributes, (Entries - 1) | ((Entries - 1) << 16));
        Write(Properties.AdminSubmissionQueue, AdminSubmission);
        Write(Properties.AdminCompletionQueue, AdminCompletion * 2);
        Write(Properties.Configuration, EnabledConfiguration);
        while (!_controller.IsReady)
        {
            Thread.Yield();
        }

        const uint size = (Entries - 1) << 16;
        Submit(0, new SubmissionEntry
        {
            Opcode = AdminOpcode.CreateIoCompletionQueue, DataAddress = Completion, Dword10 = size | 1, Dword11 = 3 | (1 << 16),
        });
        Take(0);
        Submit(0, new SubmissionEntry
        {
            Opcode = AdminOpcode.CreateIoSubmissionQueue, DataAddress = Submission, Dword10 = size | 1, Dword11 = 1 | (1 << 16),
        });
        Take(0);
    }

    private (long Commands, TimeSpan Took) Drive(byte opcode, int depth, long blocks, TimeSpan time)
    {
        var random = new Random(1);
        long done = 0, start = Stopwatch.GetTimestamp();
        for (int i = 0; i < depth; i++)
        {
            Submit(1, Entry(opcode, i, random.NextInt64(blocks)));
        }

        while (Stopwatch.GetElapsedTime(start) < time)
        {
            int slot = Take(1);
            Submit(1, Entry(opcode, slot, random.NextInt64(blocks)));
            done++;
        }

        for (int i = 0; i < depth; i++, done++)
        {
            Take(1);
        }

        return (done, Stopwatch.GetElapsedTime(start));
    }

    private static SubmissionEntry Entry(byte opcode, int slot, long block) => new()
    {
        Opcode = opcode, CommandId = (ushort)slot, NamespaceId = 1, DataAddress = Data + (ulong)(slot * Block), Dword10 = (uint)block,
        Dword11 = (uint)(block >> 32),
    };

    private void Submit(int queue, SubmissionEntry entry)
    {
        uint at = queue == 0 ? AdminSubmission : Submission;
        entry.WriteTo(_memory.AsSpan((int)at + (_tails[queue] * SubmissionEntry.Size)));
        _tails[queue] = (_tails[queue] + 1) % Entries;
        Write(PcieController.DoorbellOffset + (uint)(8 * queue), (uint)_tails[queue]);
    }

    private int Take(int queue)
    {
        uint at = queue == 0 ? AdminCompletion * 2 : Completion;
        ref byte phase = ref _memory[at + (_heads[queue] * CompletionEntry.Size) + 14];
        var spinner = default(SpinWait);
        while ((Volatile.Read(ref phase) & 1) != (_phases[queue] ? 1 : 0))
        {
            spinner.SpinOnce(sleep1Threshold: -1);
        }

        var entry = CompletionEntry.Read(_memory.AsSpan((int)at + (_heads[queue] * CompletionEntry.Size)));
        if (entry.Status != NvmeStatus.Success)
        {
            throw new InvalidOperationException($"command {entry.CommandId} failed: {entry.Status}");
        }

        if (++_heads[queue] == Entries)
        {
            _heads[queue] = 0;
            _phases[queue] = !_phases[queue];
        }

        Write(PcieController.DoorbellOffset + (uint)(8 * queue) + 4, (uint)_heads[queue]);
        return entry.CommandId;
    }

    private void Write(uint offset, uint value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        _controller.WriteRegister(offset, bytes);
    }
}
