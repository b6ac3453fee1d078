using System.Buffers.Binary;
using System.Net;
using System.Text;
using Paddock.Block;
using Paddock.Nvme.Identify;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Tests;

/// <summary>Byte layout of each structure as specified, without a socket.</summary>
public class WireTests
{
    [Fact]
    public void Initialize_request_and_response_have_their_specified_layout()
    {
        byte[] pdu = new byte[128];
        new InitializePdu(0, 0, 3, 0).WriteTo(pdu, PduType.InitializeRequest);
        Assert.Equal("00008000800000000000000300000000" + new string('0', 224), Convert.ToHexString(pdu), ignoreCase: true);
        new InitializePdu(0, 0, 1, 0x100000).WriteTo(pdu, PduType.InitializeResponse);
        Assert.Equal("01008000800000000000000100001000" + new string('0', 224), Convert.ToHexString(pdu), ignoreCase: true);
        Assert.Equal(new InitializePdu(0, 0, 1, 0x100000), InitializePdu.Read(pdu));
    }

    [Fact]
    public void Ready_to_transfer_has_its_specified_layout()
    {
        byte[] pdu = new byte[24];
        new DataPdu(0x1234, 7, 0x1000, 0x20000).WriteTo(pdu, new PduHeader(PduType.ReadyToTransfer, 0, 24, 0, 24));
        Assert.Equal("090018001800000034120700001000000000020000000000", Convert.ToHexString(pdu));
        Assert.Equal(new DataPdu(0x1234, 7, 0x1000, 0x20000), DataPdu.Read(pdu));
    }

    [Fact]
    public void Terminate_request_carries_the_invalid_header()
    {
        byte[] pdu = new byte[PduHeader.MaxTerminate];
        int length = new TerminatePdu(FatalError.HeaderDigest, 0x11223344).WriteTo(pdu, PduType.ControllerTerminate, [0xAA, 0xBB]);
        Assert.Equal(26, length);
        Assert.Equal("030018001A00000003004433221100000000000000000000AABB", Convert.ToHexString(pdu.AsSpan(0, length)));
        Assert.Equal(new TerminatePdu(FatalError.HeaderDigest, 0x11223344), TerminatePdu.Read(pdu));
    }

    [Fact]
    public void Submission_entry_has_its_specified_layout()
    {
        var entry = new SubmissionEntry
        {
            Opcode = Opcode.Write, Flags = 0x40, CommandId = 0x0102, NamespaceId = 3, DataAddress = 0, DataLength = 4096,
                DataKind = SubmissionEntry.InCapsule,
            Dword10 = 8, Dword11 = 1, Dword12 = 7 | (1u << 30), Dword13 = 0, Dword14 = 0, Dword15 = 0xDEADBEEF,
        };
        byte[] bytes = new byte[64];
        entry.WriteTo(bytes);
        Assert.Equal(
            "0140020103000000" + new string('0', 32) + "0000000000000000" + "00100000" + "00000001" + "08000000" + "01000000" + "07000040"
            + "00000000" + "00000000" + "EFBEADDE", Convert.ToHexString(bytes));
        var back = SubmissionEntry.Read(bytes);
        Assert.Equal(entry, back);
        Assert.Equal((0x1_00000008UL, 8, true, 1), (back.StartingLba, back.BlockCount, back.ForceUnitAccess, back.Direction));
    }

    [Theory]
    [InlineData(NvmeStatus.Success, false, 0x0000)]
    [InlineData(NvmeStatus.ZoneInvalidWrite, false, 0x8378)]
    [InlineData(NvmeStatus.TransientTransportError, true, 0x0044)]
    [InlineData(NvmeStatus.CompareFailure, false, 0x850A)]
    public void Completion_reports_whether_a_retry_may_succeed(object status, bool retry, int field)
    {
        var expected = (NvmeStatus)status;
        byte[] bytes = new byte[16];
        new CompletionEntry(0x1122334455667788, 9, 0xABCD, expected, retry).WriteTo(bytes);
        Assert.Equal("887766554433221109000000CDAB", Convert.ToHexString(bytes.AsSpan(0, 14)));
        Assert.Equal(field, BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(14)));
        Assert.Equal(expected, CompletionEntry.Read(bytes).Status);
    }

    [Fact]
    public void Connect_data_has_its_names_at_offsets_256_and_512()
    {
        byte[] bytes = new byte[1024];
        new ConnectData(5, 0xFFFF, "nqn.a", "nqn.host").WriteTo(bytes);
        Assert.Equal(5, bytes[0]);
        Assert.Equal(0xFFFF, BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(16)));
        Assert.Equal("nqn.a\0", Encoding.ASCII.GetString(bytes, 256, 6));
        Assert.Equal("nqn.host\0", Encoding.ASCII.GetString(bytes, 512, 9));
        bytes.AsSpan(256, 256).Fill((byte)'x');
        Assert.Null(ConnectData.Read(bytes).SubsystemNqn);
        Assert.Equal("nqn.host", ConnectData.Read(bytes).HostNqn);
    }

    [Fact]
    public void Digest_is_CRC_32C()
    {
        Assert.Equal(0xE3069283u, Crc32C.Of("123456789"u8));
        Assert.Equal(0x8A9136AAu, Crc32C.Of(new byte[32]));
    }

    [Fact]
    public void Identify_controller_has_its_fields_where_Linux_reads_them()
    {
        byte[] page = new byte[4096];
        new IdentifyController
        {
            SerialNumber = "SN", Model = "M", Firmware = "F", ControllerId = 0x0203, SubsystemNqn = "nqn.x", MaxTransfer = 1 << 20,
                InCapsule = 131072,
            QueueEntries = 1024, Namespaces = 2, Traits = new ControllerTraits(NvmeTransport.Tcp, 8),
        }.WriteTo(page);
        Assert.Equal("SN", Encoding.ASCII.GetString(page, 4, 20).TrimEnd());
        Assert.Equal((0, 8), (page[76], page[77]));
        Assert.Equal(0x0203, BinaryPrimitives.ReadUInt16LittleEndian(page.AsSpan(78)));
        Assert.Equal(0x20000u, BinaryPrimitives.ReadUInt32LittleEndian(page.AsSpan(80)));
        Assert.Equal((1u << 8) | (1u << 10) | (1u << 27), BinaryPrimitives.ReadUInt32LittleEndian(page.AsSpan(92)));
        Assert.Equal((0x66, 0x44), (page[512], page[513]));
        Assert.Equal(1024, BinaryPrimitives.ReadUInt16LittleEndian(page.AsSpan(514)));
        Assert.NotEqual(0u, BinaryPrimitives.ReadUInt32LittleEndian(page.AsSpan(536)) & 3);
        Assert.Equal((131072u + 64) / 16, BinaryPrimitives.ReadUInt32LittleEndian(page.AsSpan(1792)));
        Assert.Equal("nqn.x", Encoding.ASCII.GetString(page, 768, 5));
    }

    [Fact]
    public void Identify_controller_on_a_PCI_bus_offers_nothing_of_fabrics()
    {
        byte[] page = new byte[4096];
        new IdentifyController
        {
            SerialNumber = "SN", Model = "M", Firmware = "F", ControllerId = 1, SubsystemNqn = "nqn.x", MaxTransfer = 1 << 20,
            InCapsule = 131072, QueueEntries = 1024, Namespaces = 2,
            Traits = new ControllerTraits(NvmeTransport.Pcie, 8) { Vectors = 9, ShadowDoorbells = true },
        }.WriteTo(page);
        Assert.Equal((1 << 8) | (1 << 9), BinaryPrimitives.ReadUInt16LittleEndian(page.AsSpan(256)));
        Assert.Equal((1u << 0) | (1u << 16) | (1u << 18), BinaryPrimitives.ReadUInt32LittleEndian(page.AsSpan(536)));
        Assert.Equal(1, page[111]);
        Assert.Equal(0u, BinaryPrimitives.ReadUInt32LittleEndian(page.AsSpan(96)));
        Assert.Equal(0, BinaryPrimitives.ReadUInt16LittleEndian(page.AsSpan(320)));
        Assert.All(page[1792..1804], b => Assert.Equal(0, b));
    }

    [Fact]
    public void Discovery_log_lists_each_subsystem_and_itself()
    {
        byte[] page = DiscoveryLog.Build(7, new IPEndPoint(IPAddress.Loopback, 4420), ["nqn.a", "nqn.b"]);
        Assert.Equal(4 * 1024, page.Length);
        Assert.Equal((7UL, 3UL), (BinaryPrimitives.ReadUInt64LittleEndian(page), BinaryPrimitives.ReadUInt64LittleEndian(page.AsSpan(8))));
        Assert.Equal((3, 1, 3), (page[1024], page[1025], page[1026]));
        Assert.Equal("4420", Encoding.ASCII.GetString(page, 2048 + 32, 32).TrimEnd());
        Assert.Equal("nqn.a\0", Encoding.ASCII.GetString(page, 2048 + 256, 6));
        Assert.Equal("127.0.0.1", Encoding.ASCII.GetString(page, 2048 + 512, 256).TrimEnd());
    }

    [Fact]
    public void Zone_descriptor_counts_in_blocks()
    {
        byte[] bytes = new byte[64];
        ZoneReport.Write(bytes, new ZoneDescriptor(
            1 << 20, 1 << 20, 768 << 10, (1 << 20) + 4096, ZoneCondition.Closed, ZoneType.SequentialWriteRequired), 12, true);
        Assert.Equal("024080", Convert.ToHexString(bytes.AsSpan(0, 3)));
        Assert.Equal((192UL, 256UL, 257UL), (BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(8)),
            BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(16)), BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(24))));
    }

    [Fact]
    public void Capabilities_offer_a_choice_of_command_sets()
    {
        ulong capabilities = Properties.CapabilitiesOf(1024, Properties.FabricReadyTime);
        Assert.Equal(1023UL, capabilities & 0xFFFF);
        Assert.NotEqual(0UL, capabilities & (1UL << 43));
        Assert.NotEqual(0UL, capabilities & (1UL << 37));
    }
}
