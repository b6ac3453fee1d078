using Paddock.Nvme.Wire;
using Paddock.Testing.Protocols.Nvme;
using static System.Buffers.Binary.BinaryPrimitives;

namespace Paddock.Nvme.Tests.Pcie;

/// <summary>Admin commands with data in pages of the host: they are those of NVMe/TCP.</summary>
public class AdminTests
{
    [Fact]
    public async Task Namespace_is_created_attached_used_formatted_and_deleted()
    {
        await using var bench = await PcieBench.StartAsync(manager: new MemoryNamespaces());
        var (host, pages) = (bench.Host, new PageList(bench.Memory, 4096, 0));
        byte[] template = new byte[4096];
        WriteUInt64LittleEndian(template, 2048);
        WriteUInt64LittleEndian(template.AsSpan(8), 2048);
        pages.Write(template);
        var created = host.Run(pages.Describe(Admin(AdminOpcode.NamespaceManagement)));
        PcieHost.Expect(NvmeStatus.Success, created);
        Assert.Equal(3ul, created.Result);

        var queue = host.CreateQueues(1);
        var read = new SubmissionEntry { Opcode = Opcode.Read, NamespaceId = 3, Dword12 = 7 };
        PcieHost.Expect(NvmeStatus.InvalidField, host.Run(queue, pages.Describe(read)));
        PcieHost.Expect(NvmeStatus.Success, host.Run(pages.Describe(Admin(AdminOpcode.Identify, dword10: 0x13))));
        PcieHost.Expect(NvmeStatus.Success, host.Run(pages.Describe(Admin(AdminOpcode.NamespaceAttachment, 3))));
        PcieHost.Expect(NvmeStatus.Success, host.Run(pages.Describe(Admin(AdminOpcode.Identify, 2, 0x02))));
        Assert.Equal(3u, ReadUInt32LittleEndian(pages.Read()));

        byte[] data = new byte[4096];
        data.AsSpan().Fill(9);
        pages.Write(data);
        PcieHost.Expect(NvmeStatus.Success, host.Run(queue, pages.Describe(read with { Opcode = Opcode.Write })));
        PcieHost.Expect(NvmeStatus.Success, host.Run(Admin(AdminOpcode.FormatNvm, 3, 1)));
        PcieHost.Expect(NvmeStatus.Success, host.Run(queue, pages.Describe(read with { Dword12 = 0 })));
        Assert.True(pages.Read().AsSpan().IndexOfAnyExcept((byte)0) < 0);
        PcieHost.Expect(NvmeStatus.Success, host.Run(pages.Describe(Admin(AdminOpcode.Identify, 3))));
        Assert.Equal((256ul, 1), (ReadUInt64LittleEndian(pages.Read()), pages.Read()[26]));

        PcieHost.Expect(NvmeStatus.Success, host.Run(Admin(AdminOpcode.NamespaceManagement, 3, 1)));
        PcieHost.Expect(NvmeStatus.InvalidField, host.Run(queue, pages.Describe(read)));
    }

    [Fact]
    public async Task Features_and_logs_are_those_of_the_transport()
    {
        await using var bench = await PcieBench.StartAsync();
        var (host, pages) = (bench.Host, new PageList(bench.Memory, 4096, 0));
        PcieHost.Expect(NvmeStatus.Success, host.Run(pages.Describe(Log(0x12, 1024))));
        byte[] features = pages.Read();
        for (uint id = 0; id < 0x20; id++)
        {
            // in this select, a feature has no data, so that the command has no pages
            var status = host.Run(Admin(AdminOpcode.GetFeatures, 0, id | (3 << 8))).Status;
            Assert.Equal(features[4 * id] == 1 ? NvmeStatus.Success : NvmeStatus.InvalidField, status);
        }

        Assert.Equal((1, 1, 0), (features[4 * 8], features[4 * 9], features[4 * 0x0F]));
        PcieHost.Expect(NvmeStatus.Success, host.Run(pages.Describe(Admin(AdminOpcode.GetFeatures, 0, 0x0E))));
        Assert.InRange(ReadUInt64LittleEndian(pages.Read()), 0UL, 600_000UL);
        PcieHost.Expect(NvmeStatus.Success, host.Run(pages.Describe(Log(0x02, 512))));
        Assert.Equal(300, ReadUInt16LittleEndian(pages.Read().AsSpan(1)));
        PcieHost.Expect(NvmeStatus.Success, host.Run(pages.Describe(Log(0x0D, 512, specific: 1))));
        Assert.Equal(1u, ReadUInt32LittleEndian(pages.Read().AsSpan(4)));
        host.Disable();
        host.Enable();
        PcieHost.Expect(NvmeStatus.CommandSequence, host.Run(pages.Describe(Log(0x0D, 512))));
    }

    private static SubmissionEntry Log(uint id, uint length, uint specific = 0)
        => Admin(AdminOpcode.GetLogPage, 0, id | (specific << 8) | (((length / 4) - 1) << 16));

    private static SubmissionEntry Admin(byte opcode, uint ns = 0, uint dword10 = 0)
        => new() { Opcode = opcode, NamespaceId = ns, Dword10 = dword10 };
}
