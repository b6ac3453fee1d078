using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests;

/// <summary>Changes of namespaces: what ends their waits, what keeps commands out, and private namespaces.</summary>
public class NamespaceChangeTests
{
    private static readonly SubmissionEntry Format = new() { Opcode = AdminOpcode.FormatNvm, NamespaceId = 2 };

    [Fact]
    public async Task Reset_ends_a_format_that_waits_for_another_change()
    {
        await using var bench = await PcieBench.StartAsync(manager: new MemoryNamespaces());
        await bench.Subsystem.Changes.AcquireAsync();
        bench.Host.Submit(bench.Host.Admin, Format);
        bench.Host.Submit(bench.Host.Admin, new SubmissionEntry { Opcode = AdminOpcode.NamespaceManagement, NamespaceId = 2, Dword10 = 1 });
        bench.Host.Disable();
        bench.Host.Enable();
        bench.Subsystem.Changes.Release();
        PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(Format));
    }

    [Fact]
    public async Task Reset_ends_a_format_that_waits_for_commands_and_the_namespace_is_open_again()
    {
        await using var bench = await PcieBench.StartAsync(manager: new MemoryNamespaces());
        var ns = bench.Subsystem.Namespaces[1];
        int ticket = ns.Closing.TryEnter();
        bench.Host.Submit(bench.Host.Admin, Format);
        PcieHost.WaitUntil(() => !CanEnter(ns));
        bench.Host.Disable();
        bench.Host.Enable();
        Assert.True(CanEnter(ns));
        ns.Closing.Leave(ticket);
        PcieHost.Expect(NvmeStatus.Success, bench.Host.Run(Format));
    }

    [Fact]
    public async Task Block_status_is_refused_while_a_namespace_is_formatted()
    {
        await using var bench = await Bench.StartAsync();
        var closing = bench.Namespace.Closing;
        var status = new SubmissionEntry
        {
            Opcode = AdminOpcode.GetLbaStatus, NamespaceId = 1, Dword12 = 15, Dword13 = 2u << 24,
        };
        Assert.True(closing.TryBegin(NvmeStatus.FormatInProgress));
        await closing.QuietAsync(CancellationToken.None);
        Assert.Equal(NvmeStatus.FormatInProgress, (await bench.Host.RunAdminAsync(status, default, new byte[64], default)).Status);
        closing.End();
        Assert.Equal(NvmeStatus.Success, (await bench.Host.RunAdminAsync(status, default, new byte[64], default)).Status);
    }

    [Fact]
    public async Task Private_namespace_is_attached_to_one_controller_of_its_host_at_a_time()
    {
        var target = new NvmeTarget(new NvmeTargetOptions());
        var manager = new MemoryNamespaces();
        var subsystem = new NvmeSubsystem("nqn.2026-01.io.paddock:test", "TEST") { Manager = manager };
        target.Add(subsystem);
        var ns = await manager.CreateAsync(new NamespaceRequest(1, 1 << 20, 512, 0, 0, 0, 0, IsPrivate: true));
        subsystem.Add(ns, new HostAttachments(everyHost: false, ["nqn.host"]));
        var controllers = Enumerable.Range(0, 3).Select(
            i => subsystem.Create(target, "nqn.host", (UInt128)i, new ControllerTraits(NvmeTransport.Tcp, 4))!).ToArray();
        Assert.Equal([true, false, false], Attached());
        controllers[0].Remove();
        Assert.Equal([true, true, false], Attached());
        controllers[1].Remove();
        Assert.Equal([true, true, true], Attached());
        await manager.DeleteAsync(ns);

        bool[] Attached() => [.. controllers.Select(c => c.Attached.Find(1) is not null)];
    }

    private static bool CanEnter(NvmeNamespace ns)
    {
        int ticket = ns.Closing.TryEnter();
        if (ticket >= 0)
        {
            ns.Closing.Leave(ticket);
        }

        return ticket >= 0;
    }
}
