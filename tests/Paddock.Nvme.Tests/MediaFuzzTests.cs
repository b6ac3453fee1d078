using Paddock.Block;
using Paddock.Nvme.Target;
using Paddock.Nvme.Tcp;
using Paddock.Nvme.Wire;
using Paddock.Qcow2;
using Paddock.Serving;

namespace Paddock.Nvme.Tests;

/// <summary>
/// Random commands on media, valid and invalid: Copy, Write Uncorrectable, Get LBA Status, random write areas and what they meet.
/// PADDOCK_NVME_MEDIA_FUZZ sets their number, PADDOCK_SEED the seed.
/// </summary>
[Collection(nameof(AllocationTests))]
public class MediaFuzzTests
{
    [Fact]
    public async Task Media_commands_have_a_status_and_leave_a_sound_image()
    {
        long count = Fuzzing.Number("PADDOCK_NVME_MEDIA_FUZZ", 10_000);
        int seed = (int)Fuzzing.Number("PADDOCK_SEED", TestSeed.Next());
        TestContext.Current.TestOutputHelper?.WriteLine($"PADDOCK_SEED={seed}, {count} commands");
        await using var fuzz = await Fuzz.StartAsync(seed);
        var growth = new MemoryGrowth(count);
        for (long i = 0; i < count; i++)
        {
            await fuzz.StepAsync();
            growth.Tried(i);
        }

        growth.Check(64 << 20, seed);
        Assert.True(Array.TrueForAll(Fuzz.Expected, fuzz.HasSucceeded), $"seed {seed}: too few commands succeed");
        await fuzz.ReopenAsync();
    }

    private sealed class Fuzz : ICommandQueue, IAsyncDisposable
    {
        public static readonly byte[] Expected =
        [
            Opcode.Copy, Opcode.WriteUncorrectable, Opcode.ZoneManagementSend, Opcode.Write, Opcode.ZoneAppend, Opcode.Read, Opcode.Flush,
            Opcode.ZoneManagementReceive, AdminOpcode.GetLbaStatus,
        ];

        private const int Zone = 64 << 10, Zones = 8, Block = 512, ZoneBlocks = Zone / Block;
        private const byte Open = 3, Reset = 4, Commit = 0x11, HostBehaviorFeature = 0x16;

        private static readonly byte[] _opcodes =
        [
            Opcode.Copy, Opcode.Copy, Opcode.Copy, Opcode.WriteUncorrectable, Opcode.WriteUncorrectable, Opcode.Write, Opcode.Write,
            Opcode.Write, Opcode.ZoneAppend, Opcode.Read, Opcode.WriteZeroes, Opcode.DatasetManagement, Opcode.Verify, Opcode.Compare,
            Opcode.ZoneManagementSend, Opcode.ZoneManagementSend, Opcode.ZoneManagementSend, Opcode.ZoneManagementReceive,
            AdminOpcode.GetLbaStatus, AdminOpcode.GetLbaStatus,
        ];

        private readonly Random _random;
        private readonly string _seed;
        private readonly MemoryStorage[] _storages;
        private readonly NvmeTarget _target = new(new NvmeTargetOptions());
        private readonly HashSet<byte> _succeeded = [];
        private readonly byte[] _data = new byte[1 << 16];
        private readonly Controller _controller;
        private readonly TcpCommand _command;
        private IBlockDevice[] _images;
        private Command? _completed;

        private Fuzz(int seed, MemoryStorage[] storages, IBlockDevice[] images)
        {
            (_storages, _images) = (storages, images);
            _seed = $"seed {seed}";
            _random = new Random(seed);
            var subsystem = new NvmeSubsystem("nqn.2026-01.io.paddock:fuzz", "FUZZ");
            for (uint i = 0; i < images.Length; i++)
            {
                subsystem.Add(new NvmeNamespace(i + 1, CheckedDevice.Wrap(images[i]), Block, $"disk {i}"));
            }

            _target.Add(subsystem);
            _controller = subsystem.Create(_target, "nqn.host", 1, new ControllerTraits(NvmeTransport.Tcp, 4))!;
            _controller.Enable();
            _command = new TcpCommand(this, 0);
        }

        public LongWorkClient LongWork { get; } = Serving.LongWork.Shared.Open();

        public Controller? Controller => _controller;

        // zoned with areas, zoned without, plain
        public static async Task<Fuzz> StartAsync(int seed)
        {
            ZonedCreateOptions?[] zoned =
            [
                new() { ZoneSize = Zone, RandomArea = new RandomAreaLimits(16 << 10, 4096, 3) },
                new() { ZoneSize = Zone, MaxOpenZones = 3 },
                null,
            ];
            var storages = zoned.Select((_, i) => new MemoryStorage($"disk {i}")).ToArray();
            var images = new IBlockDevice[zoned.Length];
            for (int i = 0; i < zoned.Length; i++)
            {
                var options = new Qcow2CreateOptions { Size = Zones * Zone, ClusterSize = 4096, Zoned = zoned[i] };
                await Qcow2Image.CreateAsync(storages[i], options);
                images[i] = await Qcow2Image.OpenAsync(storages[i], new Qcow2OpenOptions());
            }

            var fuzz = new Fuzz(seed, storages, images);
            var data = new byte[512];
            BitConverter.TryWriteBytes(data.AsSpan(4), (ushort)0xC);
            await fuzz.RunAsync(new SubmissionEntry { Opcode = AdminOpcode.SetFeatures, Dword10 = HostBehaviorFeature }, data, admin: true);
            return fuzz;
        }

        public void Complete(Command command) => _completed = command;

        public void Drop(Command command)
        {
        }

        public bool HasSucceeded(byte opcode) => _succeeded.Contains(opcode);

        public async Task StepAsync()
        {
            byte opcode = _random.Next(60) == 0 ? (byte)_random.Next(0x90) : _random.Next(200) == 0 ? Opcode.Flush
                : _opcodes[_random.Next(_opcodes.Length)];
            bool admin = opcode == AdminOpcode.GetLbaStatus;
            var entry = EntryOf(opcode);
            long length = CommandData.LengthOf(_controller, admin, entry);
            int given = (int)(length <= _data.Length && _random.Next(30) != 0 ? length : _random.Next(_data.Length / 4) * 4);
            Fill(opcode, entry);
            var status = await RunAsync(entry, _data.AsMemory(0, given), admin);
            Assert.True(
                status is not (NvmeStatus.InternalError or NvmeStatus.DataTransferError), $"{_seed}: {opcode:x2} has status {status}");
            if (status == NvmeStatus.Success)
            {
                _succeeded.Add(opcode);
            }
        }

        /// <summary>Closes the images, checks them, opens them again, and reads what can be read.</summary>
        public async Task ReopenAsync()
        {
            var data = new byte[Block];
            for (int i = 0; i < _images.Length; i++)
            {
                var found = await ReadAllAsync(_images[i], data);
                await _images[i].DisposeAsync();
                var lines = new List<string>();
                var report = await Qcow2Image.CheckAsync(_storages[i], Qcow2Repair.None, lines.Add);
                Assert.True(report is { Corruptions: 0, Leaks: 0, CheckErrors: 0 }, $"{_seed}: {string.Join("\n", lines)}");
                _images[i] = await Qcow2Image.OpenAsync(_storages[i], new Qcow2OpenOptions());
                Assert.Equal(found, await ReadAllAsync(_images[i], data));
            }
        }

        public async ValueTask DisposeAsync()
        {
            LongWork.Dispose();
            foreach (var image in _images)
            {
                await image.DisposeAsync();
            }
        }

        // a hash of each block; null for one that cannot be read
        private static async Task<int?[]> ReadAllAsync(IBlockDevice image, byte[] data)
        {
            var found = new int?[image.Length / Block];
            for (int i = 0; i < found.Length; i++)
            {
                try
                {
                    await image.ReadAsync((long)i * Block, data);
                    var hash = new HashCode();
                    hash.AddBytes(data);
                    found[i] = hash.ToHashCode();
                }
                catch (BlockException)
                {
                    found[i] = null;
                }
            }

            return found;
        }

        private async Task<NvmeStatus> RunAsync(SubmissionEntry entry, Memory<byte> data, bool admin)
        {
            _command.Begin(entry);
            _command.Data = data;
            if (!admin)
            {
                return await IoCommands.ExecuteAsync(_controller, _command);
            }

            _completed = null;
            await AdminCommands.RunAsync(_controller, _command);
            Assert.Same(_command, _completed);
            Assert.InRange(_command.Written, 0, data.Length);
            return _command.Status;
        }

        private SubmissionEntry EntryOf(byte opcode)
        {
            uint first = _random.Next(3) == 0 ? (uint)(_random.Next(Zones) * ZoneBlocks) : (uint)_random.Next(Zones * ZoneBlocks);
            return new SubmissionEntry
            {
                Opcode = opcode, Flags = 0x40, NamespaceId = _random.Next(30) == 0 ? Word() : (uint)_random.Next(1, 4),
                Dword10 = Perhaps(first), Dword11 = Perhaps(opcode == Opcode.DatasetManagement ? 4u : 0),
                Dword12 = Perhaps(opcode switch
                {
                    Opcode.Copy => (uint)_random.Next(4) | ((uint)_random.Next(4) << 8),
                    Opcode.ZoneManagementReceive or AdminOpcode.GetLbaStatus => (uint)_random.Next(256),
                    _ => (uint)_random.Next(40),
                }),
                Dword13 = Perhaps(opcode switch
                {
                    Opcode.ZoneManagementSend => SendAction(),
                    AdminOpcode.GetLbaStatus => (uint)_random.Next(2000) | (_random.Next(3) switch { 0 => 2u, 1 => 0x10, _ => 0x11 } << 24),
                    Opcode.ZoneManagementReceive => (uint)_random.Next(2) | ((uint)_random.Next(8) << 8),
                    _ => 0,
                }),
                Dword14 = Perhaps(0), Dword15 = Perhaps(0),
            };
        }

        private uint SendAction()
        {
            uint action = _random.Next(6) switch
            {
                0 => Open, 1 => Open | (1 << 9), 2 or 3 => Commit, 4 => Reset, _ => (uint)_random.Next(1, 6),
            };
            return action | (_random.Next(60) == 0 ? 1u << 8 : 0);
        }

        private void Fill(byte opcode, in SubmissionEntry entry)
        {
            if (opcode == Opcode.Copy)
            {
                for (int at = 0, size = CopyRange.SizeOf((int)(entry.Dword12 >> 8) & 3); at + size <= 8 * size; at += size)
                {
                    new CopyRange((uint)_random.Next(1, 4), (ulong)_random.Next(Zones * ZoneBlocks), _random.Next(1, 60))
                        .WriteTo(_data.AsSpan(at), (int)(entry.Dword12 >> 8) & 3);
                }
            }

            if (_random.Next(opcode == Opcode.Copy ? 20 : 4) == 0)
            {
                _random.NextBytes(_data.AsSpan(_random.Next(4096), _random.Next(1, 64)));
            }
        }

        private uint Word() => (uint)_random.NextInt64(1L << 32);

        private uint Perhaps(uint value) => _random.Next(100) == 0 ? Word() : value;
    }
}
