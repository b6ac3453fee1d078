using System.Buffers.Binary;
using Paddock.Nvme.Pcie;
using Paddock.Nvme.Wire;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests.Pcie;

/// <summary>
/// Hostile hosts. PADDOCK_PCIE_LISTS and PADDOCK_PCIE_FUZZ set the number of lists and of actions, PADDOCK_PCIE_SEED the seed.
/// </summary>
[Collection(nameof(Tests.AllocationTests))]
public class FuzzTests
{
    private const int MemoryBytes = 1 << 20, Pages = MemoryBytes / HostMemory.PageSize;

    [Fact]
    public void Hostile_lists_and_chains_end_within_their_limits()
    {
        long count = Fuzzing.Number("PADDOCK_PCIE_LISTS", 100_000);
        int seed = Seed();
        var random = new Random(seed);
        var memory = new HostMemory(MemoryBytes);
        var (prps, sgls, map) = (new PrpList(memory), new SglChain(memory), new TransferMap());
        byte[] data = new byte[1 << 20];
        for (long i = 0; i < count; i++)
        {
            if (i % 64 == 0)
            {
                FillWithPointers(memory, random);
            }

            int length = random.Next(3) == 0 ? random.Next(1, 1 << 20) : random.Next(1, 64 << 10);
            var entry = new SubmissionEntry
            {
                Opcode = (byte)random.Next(1, 3), DataAddress = Pointer(random), Prp2 = Pointer(random),
            };
            if (random.Next(2) == 0)
            {
                Use(prps.Read(entry, length, map), length, $"seed {seed}, list {i}");
                continue;
            }

            long calls = memory.Calls;
            var first = Descriptor(random);
            Use(sgls.Read(
                new SubmissionEntry
                {
                    Opcode = entry.Opcode, DataAddress = first.Address, DataLength = first.Length, DataKind = first.Kind,
                },
                length, map), length, $"seed {seed}, chain {i}");
            Assert.InRange(memory.Calls - calls, 0, SglChain.MaxSegments + (SglChain.MaxDescriptors / 64) + (2 * 1024));
        }

        void Use(NvmeStatus status, int length, string where)
        {
            if (status == NvmeStatus.Success)
            {
                Assert.True(map.Length == length, $"{where}: {map.Length} of {length} bytes");
                map.TryCopyOut(memory, data.AsSpan(0, length));
            }
        }
    }

    [Fact]
    public async Task Hostile_host_ends_its_own_controller_and_nothing_else()
    {
        long count = Fuzzing.Number("PADDOCK_PCIE_FUZZ", 60_000);
        int seed = Seed();
        var random = new Random(seed);
        await using var bench = await PcieBench.StartAsync(
            new PcieOptions { IoQueues = 4, Vectors = 5 }, new NvmeTargetOptions { TotalBytes = 64 << 20 }, memory: MemoryBytes);
        await using var other = await PcieBench.StartAsync();
        var hostile = new HostileHost(bench, random);
        var growth = new MemoryGrowth(count);
        for (long done = 0; done < count;)
        {
            done += hostile.Play(500);
            growth.Tried(done);
        }

        hostile.Recover();
        growth.Check(32 << 20, seed);
        var queue = other.Host.CreateQueues(1);
        PcieHost.Expect(NvmeStatus.Success, other.Host.Run(queue, new SubmissionEntry { Opcode = Opcode.Flush, NamespaceId = 2 }));
        await bench.Controller.DisposeAsync();
        Assert.Equal(0, bench.Target.BytesInMemory);
    }

    private static int Seed() => (int)Fuzzing.Number("PADDOCK_PCIE_SEED", TestSeed.Next());

    // mostly pages of the memory, so that lists lead on
    private static ulong Pointer(Random random) => random.Next(12) switch
    {
        0 => (ulong)random.NextInt64(),
        1 => ulong.MaxValue - (ulong)random.Next(5000),
        2 => HostMemory.Base + (ulong)random.Next(MemoryBytes + 8192),
        3 => HostMemory.Base + (ulong)(random.Next(MemoryBytes / 8) * 8),
        _ => HostMemory.Base + (ulong)(random.Next(Pages) * HostMemory.PageSize),
    };

    private static SglDescriptor Descriptor(Random random) => new(
        random.Next(4) == 0 ? Pointer(random) : HostMemory.Base + (ulong)(random.Next(MemoryBytes / 16) * 16),
        random.Next(6) switch
        {
            0 => (uint)random.Next(),
            1 => uint.MaxValue - (uint)random.Next(64),
            2 => (uint)random.Next(1, 300) * 16,
            _ => (uint)random.Next(0, 8192),
        },
        random.Next(10) == 0 ? (byte)random.Next(256) : (byte)(random.Next(4) << 4));

    private static void FillWithPointers(HostMemory memory, Random random)
    {
        for (int page = 0; page < Pages; page += random.Next(1, 9))
        {
            var at = memory.At(HostMemory.Base + (ulong)(page * HostMemory.PageSize), HostMemory.PageSize);
            bool descriptors = random.Next(2) == 0;
            for (int i = 0; i < at.Length; i += 16)
            {
                if (descriptors)
                {
                    Descriptor(random).WriteTo(at[i..]);
                }
                else
                {
                    BinaryPrimitives.WriteUInt64LittleEndian(at[i..], Pointer(random));
                    BinaryPrimitives.WriteUInt64LittleEndian(at[(i + 8)..], Pointer(random));
                }
            }

            memory.Map(HostMemory.Base + (ulong)(page * HostMemory.PageSize), random.Next(20) != 0, random.Next(10) != 0);
        }
    }

    /// <summary>Plays random actions on a controller: registers, doorbells, commands, mappings, resets.</summary>
    private sealed class HostileHost(PcieBench bench, Random random)
    {
        private static readonly byte[] AdminCodes = [0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 0x0D, 0x15, 0x7C, 0x7F, 0x80, 0x86];
        private static readonly byte[] IoCodes = [0, 1, 2, 4, 5, 8, 9, 12, 0x19, 0x79, 0x7A, 0x7D];

        private readonly HostMemory _memory = bench.Memory;
        private readonly PcieHost _host = bench.Host;

        /// <summary>Brings the controller up, and plays.</summary>
        /// <returns>Number of actions.</returns>
        public long Play(int actions)
        {
            Recover();
            ushort queues = (ushort)random.Next(1, 5);
            for (ushort id = 1; id <= queues; id++)
            {
                _host.CreateQueues(id, entries: random.Next(2, 65));
            }

            if (random.Next(2) == 0)
            {
                _host.UseShadowDoorbells();
            }

            for (int i = 0; i < actions; i++)
            {
                Act();
            }

            Assert.DoesNotContain("internal error", _host.Controller.Fault ?? "", StringComparison.Ordinal);
            return actions;
        }

        /// <summary>Resets the controller, and checks that it works.</summary>
        public void Recover()
        {
            _host.Controller.Reset();
            for (int page = 0; page < Pages; page++)
            {
                _memory.Map(HostMemory.Base + (ulong)(page * HostMemory.PageSize));
            }

            _memory.Release(HostMemory.Base);
            _host.Enable();
            ulong buffer = _memory.Allocate(4096);
            PcieHost.Expect(NvmeStatus.Success, _host.Run(new SubmissionEntry
            {
                Opcode = AdminOpcode.Identify, DataAddress = buffer, Dword10 = 1,
            }));
        }

        private void Act()
        {
            switch (random.Next(64))
            {
                case < 24:
                    Scribble();
                    break;
                case < 44:
                    _host.Write(PcieController.DoorbellOffset + (uint)(4 * random.Next(random.Next(8) == 0 ? 3000 : 12)), Position());
                    break;
                case < 52:
                    BinaryPrimitives.WriteUInt64LittleEndian(
                        _memory.At(HostMemory.Base + (ulong)(random.Next(MemoryBytes / 8) * 8), 8), Pointer(random));
                    break;
                case < 55 when _host.Shadow != 0:
                    BinaryPrimitives.WriteUInt32LittleEndian(_memory.At(_host.Shadow + (ulong)(4 * random.Next(2, 10)), 4), Position());
                    break;
                case < 58 when random.Next(20) == 0:
                    ulong page = HostMemory.Base + (ulong)(random.Next(Pages) * HostMemory.PageSize);
                    _memory.Map(page, read: random.Next(2) == 0, write: random.Next(2) == 0);
                    break;
                case < 60:
                    bench.Interrupts.IsMessageSignalled = random.Next(2) == 0;
                    break;
                case 60 when random.Next(10) == 0:
                    bench.Controller.BusMaster = random.Next(3) != 0;
                    break;
                case 61 when random.Next(30) == 0:
                    bool valid = random.Next(2) == 0;
                    _host.Write(Properties.Configuration, valid ? PcieHost.Enabled ^ (uint)random.Next(2) : (uint)random.Next());
                    break;
                case 62 when random.Next(60) == 0:
                    bench.Controller.Reset();
                    break;
                default:
                    Access();
                    break;
            }
        }

        // a command somewhere in the pages of the queues, which are the first ones
        private void Scribble()
        {
            bool isAdmin = random.Next(5) == 0;
            byte[] codes = isAdmin ? AdminCodes : IoCodes;
            var first = Descriptor(random);
            bool usesSgl = random.Next(3) == 0;
            var entry = new SubmissionEntry
            {
                Opcode = random.Next(12) == 0 ? (byte)random.Next(256) : codes[random.Next(codes.Length)],
                Flags = usesSgl ? (byte)0x40 : random.Next(20) == 0 ? (byte)random.Next(256) : (byte)0,
                CommandId = (ushort)random.Next(200),
                NamespaceId = (uint)random.Next(0, 4),
                DataAddress = usesSgl ? first.Address : Pointer(random),
                Prp2 = usesSgl ? first.Length | ((ulong)first.Kind << 56) : Pointer(random),
                Dword10 = Small(),
                Dword11 = random.Next(4) == 0 ? Small() : random.Next(2) == 0 ? 1u : 0u,
                Dword12 = Small(),
                Dword13 = Small(),
                Dword14 = random.Next(4) == 0 ? Small() : 0,
                Dword15 = random.Next(4) == 0 ? Small() : 0,
            };
            entry.WriteTo(_memory.At(HostMemory.Base + (ulong)(64 * random.Next(16 * HostMemory.PageSize / 64)), 64));
        }

        private uint Small() => random.Next(5) switch
        {
            0 => (uint)random.Next(),
            1 => (uint)random.Next(256) | ((uint)random.Next(256) << 16),
            _ => (uint)random.Next(64),
        };

        private uint Position() => random.Next(20) == 0 ? (uint)random.Next() : (uint)random.Next(66);

        private void Access()
        {
            byte[] bytes = new byte[random.Next(4) == 0 ? random.Next(0, 17) : 4];
            uint offset = (uint)random.Next(0x80) & (random.Next(4) == 0 ? ~0u : ~3u);
            if (random.Next(3) != 0 || offset is >= 0x14 and < 0x18)
            {
                bench.Controller.ReadRegister(offset, bytes);
                return;
            }

            random.NextBytes(bytes);
            bench.Controller.WriteRegister(offset, bytes);
        }
    }
}
