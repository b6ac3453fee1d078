using Paddock.Faults;
using Paddock.Nvme.Wire;
using Paddock.Testing.Protocols;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests;

public class AbortTests
{
    [Fact]
    public async Task Abort_ends_a_command_that_hangs_and_no_other()
    {
        await using var bench = await Bench.StartAsync();
        using var admin = new RawHost(bench.Server.Address.Port);
        admin.Initialize();
        ushort controller = (ushort)admin.Connect(bench.Subsystem.Nqn);
        admin.Enable();
        using var queue = new RawHost(bench.Server.Address.Port);
        queue.Initialize();
        queue.Connect(bench.Subsystem.Nqn, 1, controller);
        bench.Faults.Add(new DeviceFault { Action = DeviceFaultAction.Hang });
        queue.Send(RawHost.Capsule(new SubmissionEntry { Opcode = Opcode.Flush, Flags = 0x40, CommandId = 77, NamespaceId = 1 }));
        await Eventually.IsAsync(() => Task.FromResult(bench.Faults.Rules[0].Waiting), static waiting => waiting == 1);
        Assert.Equal(1u, Abort(admin, queue: 1, id: 76));
        Assert.Equal(1u, Abort(admin, queue: 2, id: 77));
        Assert.Equal(0u, Abort(admin, queue: 1, id: 77));
        var ended = queue.Response();
        Assert.Equal((77, NvmeStatus.AbortRequested), (ended.CommandId, ended.Status));
        Assert.Equal(1u, Abort(admin, queue: 1, id: 77));
    }

    private static uint Abort(RawHost admin, ushort queue, ushort id)
    {
        admin.Send(RawHost.Capsule(
            new SubmissionEntry { Opcode = AdminOpcode.Abort, Flags = 0x40, CommandId = 9, Dword10 = queue | ((uint)id << 16) }));
        var completion = admin.Response();
        Assert.Equal(NvmeStatus.Success, completion.Status);
        return (uint)completion.Result;
    }
}
