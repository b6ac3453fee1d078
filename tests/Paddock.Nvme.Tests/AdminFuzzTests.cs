using Paddock.Block;
using Paddock.Nvme.Ana;
using Paddock.Nvme.Identify;
using Paddock.Nvme.Target;
using Paddock.Nvme.Tcp;
using Paddock.Nvme.Wire;
using Paddock.Qcow2;
using Paddock.Serving;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Paddock.Nvme.Tests;

/// <summary>
/// Random admin and I/O commands of several controllers, valid and invalid, beside a model of namespaces, attachments and sizes.
/// PADDOCK_NVME_ADMIN_FUZZ sets their number, PADDOCK_SEED the seed.
/// </summary>
[Collection(nameof(AllocationTests))]
public class AdminFuzzTests
{
    private const uint All = uint.MaxValue;

    private static readonly HashSet<NvmeStatus> _never = [NvmeStatus.DataTransferError, NvmeStatus.AuthenticationRequired];

    [Fact]
    public async Task Admin_commands_keep_to_the_model()
    {
        long count = Fuzzing.Number("PADDOCK_NVME_ADMIN_FUZZ", 20_000);
        int seed = (int)Fuzzing.Number("PADDOCK_SEED", 1);
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}, {count} commands");
        await using var fuzz = await Fuzz.StartAsync(seed);
        var growth = new MemoryGrowth(count);
        for (long i = 0; i < count; i++)
        {
            await fuzz.StepAsync();
            growth.Tried(i);
        }

        growth.Check(64 << 20, seed);
        int[] done = [fuzz.Created, fuzz.Deleted, fuzz.Formatted, fuzz.Attached, fuzz.Refused];
        Assert.True(done.Min() > 0, $"seed {seed}: too few changes: {string.Join(", ", done)}");
    }

    private sealed class Fuzz : ICommandQueue, IAsyncDisposable
    {
        private static readonly byte[] _opcodes =
        [
            AdminOpcode.Identify, AdminOpcode.GetLogPage, AdminOpcode.SetFeatures, AdminOpcode.GetFeatures, AdminOpcode.NamespaceManagement,
            AdminOpcode.NamespaceManagement, AdminOpcode.NamespaceAttachment, AdminOpcode.NamespaceAttachment, AdminOpcode.FormatNvm,
            AdminOpcode.AsyncEventRequest, AdminOpcode.Abort, AdminOpcode.KeepAlive,
        ];

        private static readonly AnaState[] _states =
            [AnaState.Optimized, AnaState.Optimized, AnaState.NonOptimized, AnaState.Inaccessible, AnaState.Change];

        private static readonly byte[] _ioOpcodes =
        [
            Opcode.Read, Opcode.Write, Opcode.Flush, Opcode.WriteZeroes, Opcode.DatasetManagement, Opcode.Compare, Opcode.Verify,
            Opcode.ZoneAppend, Opcode.ZoneManagementSend, Opcode.ZoneManagementReceive, Opcode.Copy, Opcode.WriteUncorrectable,
        ];

        private readonly Random _random;
        private readonly string _seed;
        private readonly NvmeTarget _target = new(new NvmeTargetOptions());
        private readonly MemoryNamespaces _manager = new();
        private readonly NvmeSubsystem _subsystem;
        private readonly List<Controller> _controllers = [];
        private readonly IBlockDevice _fixed;

        // namespace identifiers, and the controllers that each is attached to
        private readonly Dictionary<uint, HashSet<ushort>> _model = [];
        private readonly byte[] _data = new byte[1 << 16];

        // of the fixed namespace
        private readonly AnaGroup _group = new(1, AnaState.Optimized);
        private Controller _current;
        private Command? _completed;

        private Fuzz(int seed, IBlockDevice image)
        {
            _seed = $"seed {seed}";
            _random = new Random(seed);
            _fixed = image;
            _subsystem = new NvmeSubsystem("nqn.2026-01.io.paddock:fuzz", "FUZZ") { Manager = _manager, AllowsFormat = true };
            _subsystem.Add(new NvmeNamespace(1, CheckedDevice.Wrap(image), 512, "fixed") { AnaGroup = _group });
            _target.Add(_subsystem);
            for (int i = 0; i < 3; i++)
            {
                var controller = _subsystem.Create(_target, $"nqn.host{i}", (UInt128)i, new ControllerTraits(NvmeTransport.Tcp, 4))!;
                controller.Enable();
                _controllers.Add(controller);
            }

            _current = _controllers[0];
            _model.Add(1, [.. _controllers.Select(c => c.Id)]);
        }

        public int Created { get; private set; }

        public int Deleted { get; private set; }

        public int Formatted { get; private set; }

        public int Attached { get; private set; }

        public int Refused { get; private set; }

        public LongWorkClient LongWork { get; } = Serving.LongWork.Shared.Open();

        public Controller? Controller => _current;

        public static async Task<Fuzz> StartAsync(int seed)
        {
            var storage = new MemoryStorage("fixed");
            await Qcow2Image.CreateAsync(storage, new Qcow2CreateOptions { Size = 1 << 20, ClusterSize = 4096 });
            return new Fuzz(seed, await Qcow2Image.OpenAsync(storage, new Qcow2OpenOptions()));
        }

        public void Complete(Command command) => _completed = command;

        public void Drop(Command command)
        {
        }

        public async ValueTask DisposeAsync()
        {
            LongWork.Dispose();
            foreach (var ns in _subsystem.Namespaces.Where(_manager.Owns).ToArray())
            {
                await _manager.DeleteAsync(ns);
            }

            await _fixed.DisposeAsync();
        }

        public async Task StepAsync()
        {
            _current = _controllers[_random.Next(_controllers.Count)];
            if (_random.Next(500) == 0)
            {
                Reset();
            }

            if (_random.Next(100) == 0)
            {
                _group.SetState(_states[_random.Next(_states.Length)]);
            }

            _manager.FailsNext = _random.Next(50) == 0;
            bool admin = _random.Next(4) != 0;
            var command = new TcpCommand(this, 0);
            command.Begin(admin ? AdminEntry() : IoEntry());
            var entry = command.Entry;
            command.Data = _data.AsMemory(0, LengthOf(admin, entry));
            if (admin)
            {
                await AdminCommands.RunAsync(_current, command);
            }
            else
            {
                command.Finish(await IoCommands.ExecuteAsync(_current, command));
            }

            _manager.FailsNext = false;
            if (_completed == command)
            {
                var known = command.Status;
                Assert.False(_never.Contains(known) || (admin && known == NvmeStatus.InternalError),
                    $"{_seed}: {entry.Opcode:x2} has status {known}");
                Assert.InRange(command.Written, 0, command.Data.Length);
                Refused += StatusMap.IsOfPath(known) ? 1 : 0;
                Assert.True(!StatusMap.IsOfPath(known) || known == _group.Refusal, $"{_seed}: {entry.Opcode:x2} has status {known}");
                Assert.False(
                    !admin && known == NvmeStatus.Success && entry.NamespaceId is 1 or All && _current.Find(1) is not null
                        && _group.Refusal != NvmeStatus.Success,
                    $"{_seed}: {entry.Opcode:x2} has run in state {_group.State}");
                Follow(admin, entry, command, known);
            }

            Check();
        }

        private void Reset()
        {
            _current.Reset();
            _current.Enable();
        }

        private int LengthOf(bool admin, in SubmissionEntry entry)
        {
            long length = CommandData.LengthOf(_current, admin, entry);
            return (int)(length <= _data.Length && _random.Next(20) != 0 ? length : _random.Next(_data.Length + 1));
        }

        private SubmissionEntry AdminEntry()
        {
            byte opcode = _random.Next(40) == 0 ? (byte)_random.Next(256) : _opcodes[_random.Next(_opcodes.Length)];
            uint dword10 = opcode switch
            {
                AdminOpcode.Identify => (uint)_random.Next(0x22) | (_random.Next(4) == 0 ? (uint)_random.Next(8) << 16 : 0),
                AdminOpcode.GetLogPage => Log(),
                AdminOpcode.SetFeatures or AdminOpcode.GetFeatures => (uint)_random.Next(0x1B) | ((uint)_random.Next(5) << 8),
                AdminOpcode.NamespaceManagement => (uint)(_random.Next(3) == 0 ? _random.Next(3) : 0),
                AdminOpcode.NamespaceAttachment => (uint)_random.Next(2),
                AdminOpcode.FormatNvm => (uint)(_random.Next(2) | (_random.Next(10) == 0 ? _random.Next(1 << 14) : 0)),
                _ => (uint)_random.Next(),
            };
            bool creates = opcode == AdminOpcode.NamespaceManagement && dword10 == 0;
            Fill(opcode, creates);
            return new SubmissionEntry
            {
                Opcode = opcode, Flags = 0x40, CommandId = (ushort)_random.Next(65536), Dword10 = Perhaps(dword10),
                NamespaceId = creates ? _random.Next(30) == 0 ? 1u : 0 : Namespace(),
                Dword11 = opcode == AdminOpcode.Identify || creates ? (uint)_random.Next(4) << 24 : (uint)_random.Next(400),
                Dword12 = _random.Next(4) == 0 ? (uint)_random.Next(64) * 4 : 0,
                Dword14 = (uint)_random.Next(3) << 24,
            };
        }

        private SubmissionEntry IoEntry()
        {
            _random.NextBytes(_data.AsSpan(0, 64));
            return new SubmissionEntry
            {
                Opcode = _ioOpcodes[_random.Next(_ioOpcodes.Length)], Flags = 0x40, NamespaceId = Namespace(),
                Dword10 = Perhaps((uint)_random.Next(512)), Dword12 = Perhaps((uint)_random.Next(16)),
                Dword13 = (uint)_random.Next(6) | ((uint)_random.Next(2) << 8),
            };
        }

        // supported logs mostly, up to 4 KiB
        private uint Log()
        {
            byte[] ids = [0, 1, 2, 3, 4, 5, 7, 8, AnaLog.Id, 0x0D, 0x0D, 0x12, 0x13, 0xBF, (byte)_random.Next(256)];
            return ids[_random.Next(ids.Length)] | ((uint)_random.Next(4) << 8) | ((uint)_random.Next(2) << 15)
                | ((uint)_random.Next(1024) << 16);
        }

        private uint Perhaps(uint value) => _random.Next(100) == 0 ? (uint)_random.NextInt64(1L << 32) : value;

        private uint Namespace() => _random.Next(25) switch
        {
            0 => All,
            1 => 0,
            2 => (uint)_random.NextInt64(1L << 32),
            _ => (uint)_random.Next(1, 8),
        };

        private void Fill(byte opcode, bool creates)
        {
            _data.AsSpan(0, 4096).Clear();
            if (creates)
            {
                ulong blocks = (ulong)(_random.Next(3) == 0 ? _random.Next(1, 4096) : 128 * _random.Next(1, 16));
                WriteUInt64LittleEndian(_data, blocks);
                WriteUInt64LittleEndian(_data.AsSpan(8), _random.Next(20) == 0 ? blocks / 2 : blocks);
                _data[26] = (byte)_random.Next(2);
                _data[30] = (byte)_random.Next(2);
                _data[499] = (byte)(_random.Next(4) == 0 ? 1 : 0);
            }
            else if (opcode == AdminOpcode.NamespaceAttachment)
            {
                int count = _random.Next(3);
                WriteUInt16LittleEndian(_data, (ushort)count);
                for (int i = 0; i < count; i++)
                {
                    WriteUInt16LittleEndian(_data.AsSpan(2 * (i + 1)), _controllers[_random.Next(_controllers.Count)].Id);
                }
            }

            if (_random.Next(30) == 0)
            {
                _data[_random.Next(640)] = (byte)_random.Next(256);
            }
        }

        private void Follow(bool admin, in SubmissionEntry entry, Command command, NvmeStatus status)
        {
            bool succeeded = status == NvmeStatus.Success;
            switch (entry.Opcode)
            {
                case AdminOpcode.NamespaceManagement when admin && succeeded && (entry.Dword10 & 15) == 0:
                    Assert.True(_model.TryAdd((uint)command.Result, []), $"{_seed}: namespace {command.Result} exists twice");
                    Created++;
                    break;
                case AdminOpcode.NamespaceManagement when admin && succeeded:
                    Assert.True(entry.NamespaceId is not (1 or All), $"{_seed}: the fixed namespace was deleted");
                    Assert.True(_model.Remove(entry.NamespaceId), $"{_seed}: namespace {entry.NamespaceId} was deleted twice");
                    Deleted++;
                    break;
                case AdminOpcode.NamespaceAttachment when admin && succeeded:
                    FollowAttachment(entry);
                    break;
                case AdminOpcode.FormatNvm when admin && succeeded:
                    Formatted++;
                    break;
            }
        }

        private void FollowAttachment(in SubmissionEntry entry)
        {
            foreach (ushort id in IdentifyLists.ReadControllers(_data))
            {
                bool changed = (entry.Dword10 & 15) == 0 ? _model[entry.NamespaceId].Add(id) : _model[entry.NamespaceId].Remove(id);
                Assert.True(changed, $"{_seed}: namespace {entry.NamespaceId} was attached or detached twice");
                Attached++;
            }
        }

        private void Check()
        {
            Assert.True(_subsystem.Namespaces.Select(n => n.Id).SequenceEqual(_model.Keys.Order()), $"{_seed}: other namespaces");
            foreach (var controller in _controllers)
            {
                var expected = _model.Where(m => m.Value.Contains(controller.Id)).Select(m => m.Key).Order();
                Assert.True(controller.Attached.All.Select(n => n.Id).SequenceEqual(expected), $"{_seed}: other attachments");
            }

            long used = _subsystem.Namespaces.Where(_manager.Owns).Sum(n => n.Device.Length);
            Assert.True(used <= MemoryNamespaces.Quota, $"{_seed}: {used} bytes exceed the quota");
        }
    }
}
