using Paddock.Block;
using Paddock.Nvme.Wire;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests;

/// <summary>Allocations per command: none. Runs alone, since the whole process is measured.</summary>
[Collection(nameof(AllocationTests))]
[CollectionDefinition(nameof(AllocationTests), DisableParallelization = true)]
public class AllocationTests
{
    private const int Warm = 1_000, Measured = 4_000;
    private const int InCapsule = 4096, ByTransfer = 16384;

    [Theory]
    [InlineData(Opcode.Read, InCapsule)]
    [InlineData(Opcode.Write, InCapsule)]
    [InlineData(Opcode.Write, ByTransfer)]
    public async Task Commands_allocate_nothing_in_steady_state(byte opcode, int length)
    {
        await using var bench = await Bench.StartAsync();
        await using var disk = CheckedDevice.Wrap(new RawDevice(await StorageAsync()));
        bench.Subsystem.Add(new NvmeNamespace(2, disk, 512, "plain"));
        using var admin = new RawHost(bench.Server.Address.Port);
        admin.Initialize();
        ushort controller = (ushort)admin.Connect(bench.Subsystem.Nqn);
        admin.Enable();
        using var host = new RawHost(bench.Server.Address.Port);
        host.Initialize();
        host.Connect(bench.Subsystem.Nqn, 1, controller);
        Run(host, opcode, length, Warm);
        Allocations.AssertAtMost(Measured * 8L, () => Run(host, opcode, length, Measured));
    }

    private static async Task<MemoryStorage> StorageAsync()
    {
        var storage = new MemoryStorage();
        await storage.SetLengthAsync(1 << 20);
        return storage;
    }

    private static void Run(RawHost host, byte opcode, int length, int count)
    {
        byte kind = opcode == Opcode.Write && length == InCapsule ? SubmissionEntry.InCapsule : SubmissionEntry.InTransport;
        var entry = new SubmissionEntry
        {
            Opcode = opcode, Flags = 0x40, CommandId = 7, NamespaceId = 2, DataKind = kind, DataLength = (uint)length,
                Dword12 = ((uint)length / 512) - 1,
        };
        byte[] command = RawHost.Capsule(entry, kind == SubmissionEntry.InCapsule ? new byte[length] : default);
        byte[] data = new byte[24 + length];
        for (int i = 0; i < count; i++)
        {
            host.Send(command);
            if (opcode == Opcode.Read)
            {
                host.Receive(24 + length);
            }
            else if (kind == SubmissionEntry.InTransport)
            {
                var ready = DataPdu.Read(host.Receive(24));
                new DataPdu(7, ready.TransferTag, 0, (uint)length).WriteTo(
                    data, new PduHeader(PduType.HostData, PduFlags.Last, 24, 24, (uint)data.Length));
                host.Send(data);
            }

            Assert.Equal(NvmeStatus.Success, host.Response().Status);
        }
    }
}
