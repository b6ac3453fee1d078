using System.Buffers.Binary;
using Paddock.Nvme.Pcie;
using Paddock.Nvme.Wire;
using Paddock.Testing.Protocols.Nvme;

namespace Paddock.Nvme.Tests.Pcie;

/// <summary>PRP lists and SGL chains: what is accepted, and the status of every error.</summary>
public class DataPointerTests
{
    private const byte UsesSgl = 0x40;

    private readonly HostMemory _memory = new(4 << 20);
    private readonly TransferMap _map = new();

    [Theory]
    [InlineData(4096, 1ul, 0ul, NvmeStatus.PrpOffsetInvalid)]
    [InlineData(4096, 2ul, 0ul, NvmeStatus.PrpOffsetInvalid)]
    [InlineData(4096, 4ul, 4ul, NvmeStatus.PrpOffsetInvalid)]
    [InlineData(8192, 0ul, 512ul, NvmeStatus.PrpOffsetInvalid)]
    [InlineData(12288, 0ul, 4ul, NvmeStatus.PrpOffsetInvalid)]
    [InlineData(4096, 0ul, 0xFFFul, NvmeStatus.Success)]
    [InlineData(4092, 4ul, 0xFFFul, NvmeStatus.Success)]
    internal void Offsets_of_pages_are_checked(int length, ulong first, ulong second, NvmeStatus expected)
    {
        ulong pages = _memory.Allocate(8192);
        var entry = new SubmissionEntry { Opcode = Opcode.Write, DataAddress = pages + first, Prp2 = pages + 4096 + second };
        Assert.Equal(expected, new PrpList(_memory).Read(entry, length, _map));
    }

    [Fact]
    public void Pages_that_follow_each_other_are_one_part()
    {
        ulong pages = _memory.Allocate(64 << 10), list = _memory.Allocate(4096);
        for (int i = 1; i < 16; i++)
        {
            Store(list + (ulong)(8 * (i - 1)), pages + (ulong)(4096 * i));
        }

        var entry = new SubmissionEntry { Opcode = Opcode.Read, DataAddress = pages, Prp2 = list };
        Assert.Equal(NvmeStatus.Success, new PrpList(_memory).Read(entry, 64 << 10, _map));
        Assert.Equal((1, 64 << 10), (_map.Count, _map.Length));
    }

    [Fact]
    public void List_may_begin_at_the_end_of_a_page_and_then_points_at_the_next()
    {
        ulong data = _memory.Allocate(4096 * 6), list = _memory.Allocate(8192);
        Store(list + 4096 - 8, list + 4096);
        for (int i = 1; i < 6; i++)
        {
            Store(list + 4096 + (ulong)(8 * (i - 1)), data + (ulong)(4096 * (6 - i)));
        }

        var entry = new SubmissionEntry { Opcode = Opcode.Read, DataAddress = data, Prp2 = list + 4096 - 8 };
        Assert.Equal(NvmeStatus.Success, new PrpList(_memory).Read(entry, 4096 * 6, _map));
        Assert.Equal(4096 * 6, _map.Length);
    }

    [Fact]
    public void List_whose_next_page_has_an_offset_is_rejected()
    {
        ulong list = _memory.Allocate(8192);
        Store(list + 4096 - 8, list + 4096 - 8);
        var entry = new SubmissionEntry { Opcode = Opcode.Read, DataAddress = list, Prp2 = list + 4096 - 8 };
        Assert.Equal(NvmeStatus.PrpOffsetInvalid, new PrpList(_memory).Read(entry, 4096 * 6, _map));
    }

    [Fact]
    public void List_in_memory_that_is_not_mapped_is_a_transfer_error()
    {
        var entry = new SubmissionEntry { Opcode = Opcode.Read, DataAddress = _memory.Allocate(4096), Prp2 = 0xFFFF_FFFF_FFFF_F000 };
        Assert.Equal(NvmeStatus.DataTransferError, new PrpList(_memory).Read(entry, 4096 * 6, _map));
    }

    [Fact]
    public void Data_block_is_a_list_of_its_own()
    {
        Assert.Equal(NvmeStatus.Success, Read(new SglDescriptor(HostMemory.Base + 3, 4096, SglDescriptor.DataBlock), 4096));
        Assert.Equal((1, 4096), (_map.Count, _map.Length));
        Assert.Equal(NvmeStatus.Success, Read(new SglDescriptor(HostMemory.Base, 8192, SglDescriptor.DataBlock), 4096));
        Assert.Equal(4096, _map.Length);
        Assert.Equal(NvmeStatus.SglLengthInvalid, Read(new SglDescriptor(HostMemory.Base, 4095, SglDescriptor.DataBlock), 4096));
    }

    [Theory]
    [InlineData(0x01)]
    [InlineData(0x11)]
    [InlineData(0x21)]
    [InlineData(0x40)]
    [InlineData(0x5A)]
    [InlineData(0xF0)]
    public void Other_types_and_subtypes_are_rejected(byte kind)
        => Assert.Equal(NvmeStatus.SglTypeInvalid, Read(new SglDescriptor(HostMemory.Base, 4096, kind), 4096));

    [Theory]
    [InlineData(0u)]
    [InlineData(8u)]
    [InlineData(17u)]
    public void Length_of_a_segment_is_that_of_descriptors(uint length)
    {
        Assert.Equal(NvmeStatus.SglSegmentInvalid, Read(new SglDescriptor(HostMemory.Base, length, SglDescriptor.LastSegment), 4096));
        Assert.Equal(NvmeStatus.SglSegmentInvalid, Read(new SglDescriptor(HostMemory.Base, length, SglDescriptor.Segment), 4096));
    }

    [Fact]
    public void Chain_of_segments_is_followed()
    {
        ulong data = _memory.Allocate(4096);
        var last = Segment(SglDescriptor.LastSegment, new SglDescriptor(data + 1024, 1024, SglDescriptor.DataBlock));
        var middle = Segment(
            SglDescriptor.Segment, new SglDescriptor(data + 2048, 1024, SglDescriptor.DataBlock), new SglDescriptor(0, 0, 0), last);
        var first = Segment(SglDescriptor.Segment, new SglDescriptor(data, 2048, SglDescriptor.DataBlock), middle);
        Assert.Equal(NvmeStatus.Success, Read(first, 4096));
        Assert.Equal((2, 4096), (_map.Count, _map.Length));
        Assert.Equal(NvmeStatus.SglLengthInvalid, Read(first, 4097));
    }

    [Fact]
    public void Bit_bucket_takes_part_in_reads_only()
    {
        ulong data = _memory.Allocate(4096);
        var list = Segment(
            SglDescriptor.LastSegment, new SglDescriptor(data, 1024, SglDescriptor.DataBlock),
            new SglDescriptor(0, 2048, SglDescriptor.BitBucket), new SglDescriptor(data + 1024, 1024, SglDescriptor.DataBlock));
        Assert.Equal(NvmeStatus.Success, Read(list, 4096));
        byte[] from = new byte[4096];
        from.AsSpan(0, 1024).Fill(1);
        from.AsSpan(3072).Fill(2);
        Assert.True(_map.TryCopyOut(_memory, from));
        Assert.Equal((1, 1, 2, 2), (At(data), At(data + 1023), At(data + 1024), At(data + 2047)));
        Assert.Equal(0, At(data + 2048));
        Assert.Equal(NvmeStatus.SglLengthInvalid, Read(list, 4096, Opcode.Write));
        Assert.Equal(NvmeStatus.Success, Read(list, 2048, Opcode.Write));
    }

    [Fact]
    public void Segment_descriptor_stands_last_in_its_segment()
    {
        var end = Segment(SglDescriptor.LastSegment, new SglDescriptor(HostMemory.Base, 4096, SglDescriptor.DataBlock));
        var early = Segment(SglDescriptor.Segment, end, new SglDescriptor(HostMemory.Base, 4096, SglDescriptor.DataBlock));
        Assert.Equal(NvmeStatus.SglCountInvalid, Read(early, 4096));
        Assert.Equal(NvmeStatus.SglSegmentInvalid, Read(Segment(SglDescriptor.LastSegment, end), 4096));
    }

    [Fact]
    public void Chain_that_returns_to_itself_ends_at_the_limit_of_segments()
    {
        ulong at = _memory.Allocate(16);
        var self = new SglDescriptor(at, 16, SglDescriptor.Segment);
        self.WriteTo(_memory.At(at, 16));
        long calls = _memory.Calls;
        Assert.Equal(NvmeStatus.SglCountInvalid, Read(self, 4096));
        Assert.InRange(_memory.Calls - calls, 1, SglChain.MaxSegments);
    }

    [Fact]
    public void More_descriptors_than_the_limit_are_rejected()
    {
        const uint size = (SglChain.MaxDescriptors + 1) * SglDescriptor.Size;
        ulong at = _memory.Allocate((int)size);
        Assert.Equal(NvmeStatus.SglCountInvalid, Read(new SglDescriptor(at, size, SglDescriptor.LastSegment), 4096));
        Assert.Equal(NvmeStatus.SglCountInvalid, Read(new SglDescriptor(at, 0xFFFF_FFF0, SglDescriptor.LastSegment), 4096));
        Assert.Equal(NvmeStatus.SglLengthInvalid, Read(new SglDescriptor(at, size - 16, SglDescriptor.LastSegment), 4096));
    }

    [Fact]
    public async Task Data_pointer_errors_are_the_status_of_the_command()
    {
        await using var bench = await PcieBench.StartAsync();
        var queue = bench.Host.CreateQueues(1);
        ulong page = bench.Memory.Allocate(4096), readOnly = bench.Memory.Allocate(4096);
        bench.Memory.Map(readOnly, write: false);
        var read = new SubmissionEntry { Opcode = Opcode.Read, NamespaceId = 2, Dword12 = 7 };
        Check(NvmeStatus.PrpOffsetInvalid, At(read, 0, page + 2, 0));
        Check(NvmeStatus.DataTransferError, At(read, 0, 0x1000, 0));
        Check(NvmeStatus.DataTransferError, At(read, 0, readOnly, 0));
        Check(NvmeStatus.SglTypeInvalid, At(read, UsesSgl, page, 4096 | (0x50ul << 56)));
        Check(NvmeStatus.SglLengthInvalid, At(read, UsesSgl, page, 4095));
        Check(NvmeStatus.Success, At(read, UsesSgl, page, 4096));
        Check(NvmeStatus.Success, At(read, 0x80, page, 4096));
        Check(NvmeStatus.InvalidField, At(read, 0xC0, page, 4096));
        Check(NvmeStatus.InvalidField, At(read, 1, page, 0));
        var write = new SubmissionEntry { Opcode = Opcode.Write, NamespaceId = 2, Dword12 = 7 };
        Check(NvmeStatus.DataTransferError, At(write, 0, 0x1000, 0));
        Check(NvmeStatus.Success, At(write, 0, readOnly, 0));
        Check(NvmeStatus.InvalidField, At(new SubmissionEntry { Opcode = Opcode.Write, NamespaceId = 2, Dword12 = 2048 }, 0, page, page));
        Assert.Equal(Properties.Ready, bench.Host.Status);

        void Check(NvmeStatus expected, SubmissionEntry entry) => PcieHost.Expect(expected, bench.Host.Run(queue, entry));
    }

    private static SubmissionEntry At(in SubmissionEntry entry, byte flags, ulong first, ulong second) => new()
    {
        Opcode = entry.Opcode, Flags = flags, NamespaceId = entry.NamespaceId, DataAddress = first, Prp2 = second, Dword12 = entry.Dword12,
    };

    private NvmeStatus Read(SglDescriptor first, int length, byte opcode = Opcode.Read)
        => new SglChain(_memory).Read(
            new SubmissionEntry { Opcode = opcode, DataAddress = first.Address, DataLength = first.Length, DataKind = first.Kind },
            length, _map);

    private SglDescriptor Segment(byte kind, params SglDescriptor[] descriptors)
    {
        ulong at = _memory.Allocate(descriptors.Length * SglDescriptor.Size);
        for (int i = 0; i < descriptors.Length; i++)
        {
            descriptors[i].WriteTo(_memory.At(at + (ulong)(i * SglDescriptor.Size), SglDescriptor.Size));
        }

        return new SglDescriptor(at, (uint)(descriptors.Length * SglDescriptor.Size), kind);
    }

    private byte At(ulong address) => _memory.At(address, 1)[0];

    private void Store(ulong address, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(_memory.At(address, 8), value);
}
