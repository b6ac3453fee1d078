using Paddock.Nbd.Wire;

namespace Paddock.Nbd.Tests;

/// <summary>Layout of every structure, byte by byte.</summary>
public class WireTests
{
    [Fact]
    public void Greeting_is_18_bytes()
    {
        byte[] bytes = new byte[Greeting.Size];
        new Greeting(HandshakeFlags.FixedNewstyle | HandshakeFlags.NoZeroes).WriteTo(bytes);
        Assert.Equal("4E42444D41474943" + "49484156454F5054" + "0003", Convert.ToHexString(bytes));
        Assert.Equal(HandshakeFlags.FixedNewstyle | HandshakeFlags.NoZeroes, Greeting.Parse(bytes).Flags);
    }

    [Fact]
    public void Client_flags_not_offered_are_rejected()
    {
        Assert.Equal(HandshakeFlags.FixedNewstyle, ClientFlags.Parse([0, 0, 0, 1]).Flags);
        var refused = Assert.Throws<NbdProtocolException>(() => ClientFlags.Parse([0, 1, 0, 1]));
        Assert.Equal((nameof(ClientFlags), 0L), (refused.Structure, refused.Offset));
    }

    [Fact]
    public void Option_and_reply_headers_are_16_and_20_bytes()
    {
        byte[] option = new byte[OptionHeader.Size], reply = new byte[OptionReplyHeader.Size];
        new OptionHeader(NbdOption.Go, 11).WriteTo(option);
        new OptionReplyHeader(NbdOption.Go, OptionReplyType.ErrorUnknown, 5).WriteTo(reply);
        Assert.Equal("49484156454F5054" + "00000007" + "0000000B", Convert.ToHexString(option));
        Assert.Equal("0003E889045565A9" + "00000007" + "80000006" + "00000005", Convert.ToHexString(reply));
        Assert.Equal(new OptionHeader(NbdOption.Go, 11), OptionHeader.Parse(option));
        Assert.Equal(new OptionReplyHeader(NbdOption.Go, OptionReplyType.ErrorUnknown, 5), OptionReplyHeader.Parse(reply));
        Assert.True(OptionReplyHeader.Parse(reply).IsError);
    }

    [Fact]
    public void Export_info_replies_are_10_12_and_14_bytes()
    {
        byte[] name = new byte[ExportNameReply.Size], info = new byte[ExportInfo.Size], block = new byte[BlockSizeInfo.Size];
        new ExportNameReply(0x1122, TransmissionFlags.HasFlags | TransmissionFlags.SendFlush).WriteTo(name);
        new ExportInfo(0x1122, TransmissionFlags.HasFlags).WriteTo(info);
        new BlockSizeInfo(512, 4096, 33554432).WriteTo(block);
        Assert.Equal("0000000000001122" + "0005", Convert.ToHexString(name));
        Assert.Equal("0000" + "0000000000001122" + "0001", Convert.ToHexString(info));
        Assert.Equal("0003" + "00000200" + "00001000" + "02000000", Convert.ToHexString(block));
        Assert.Equal(new BlockSizeInfo(512, 4096, 33554432), BlockSizeInfo.Parse(block));
        Assert.Equal(0x1122UL, ExportInfo.Parse(info).ExportSize);
    }

    [Theory]
    [InlineData(0u, 4096u, 1u << 20)]
    [InlineData(3u, 4096u, 1u << 20)]
    [InlineData(131072u, 131072u, 1u << 20)]
    [InlineData(512u, 256u, 1u << 20)]
    [InlineData(512u, 4096u, 256u)]
    public void Invalid_block_sizes_are_rejected(uint minimum, uint preferred, uint maximum)
    {
        byte[] block = new byte[BlockSizeInfo.Size];
        new BlockSizeInfo(minimum, preferred, maximum).WriteTo(block);
        Assert.Throws<NbdProtocolException>(() => BlockSizeInfo.Parse(block));
    }

    [Fact]
    public void Requests_are_28_and_32_bytes()
    {
        var request = new NbdRequest(CommandFlags.Fua, NbdCommand.WriteZeroes, 0x0102030405060708, 0x1000, 0x2000);
        byte[] compact = new byte[CompactRequest.Size], extended = new byte[ExtendedRequest.Size];
        CompactRequest.Write(compact, request);
        ExtendedRequest.Write(extended, request);
        Assert.Equal("25609513" + "0001" + "0006" + "0102030405060708" + "0000000000001000" + "00002000", Convert.ToHexString(compact));
        Assert.Equal(
            "21E41C71" + "0001" + "0006" + "0102030405060708" + "0000000000001000" + "0000000000002000", Convert.ToHexString(extended));
        Assert.Equal(request, CompactRequest.Parse(compact));
        Assert.Equal(request, ExtendedRequest.Parse(extended));
    }

    [Fact]
    public void Replies_are_16_20_and_32_bytes()
    {
        byte[] simple = new byte[SimpleReply.Size], structured = new byte[StructuredReply.Size], extended = new byte[ExtendedReply.Size];
        var chunk = new ReplyChunk(true, ChunkType.OffsetData, 7, 0x4000, 0x208);
        new SimpleReply(NbdError.Invalid, 7).WriteTo(simple);
        StructuredReply.Write(structured, chunk);
        ExtendedReply.Write(extended, chunk);
        Assert.Equal("67446698" + "00000016" + "0000000000000007", Convert.ToHexString(simple));
        Assert.Equal("668E33EF" + "0001" + "0001" + "0000000000000007" + "00000208", Convert.ToHexString(structured));
        Assert.Equal(
            "6E8A278C" + "0001" + "0001" + "0000000000000007" + "0000000000004000" + "0000000000000208", Convert.ToHexString(extended));
        Assert.Equal(chunk with { Offset = 0 }, StructuredReply.Parse(structured));
        Assert.Equal(chunk, ExtendedReply.Parse(extended));
        Assert.Equal(new SimpleReply(NbdError.Invalid, 7), SimpleReply.Parse(simple));
    }

    [Fact]
    public void Error_payload_carries_its_message()
    {
        byte[] bytes = new ErrorPayload(NbdError.NoSpace, "full").ToBytes();
        Assert.Equal("0000001C" + "0004" + "66756C6C", Convert.ToHexString(bytes));
        Assert.Equal(new ErrorPayload(NbdError.NoSpace, "full"), ErrorPayload.Parse(bytes));
        Assert.Throws<NbdProtocolException>(() => ErrorPayload.Parse(bytes.AsSpan(0, 8)));
        Assert.Throws<NbdProtocolException>(() => ErrorPayload.Parse(new byte[6]));
        Assert.Equal(
            ErrorPayload.HeadSize + ErrorPayload.LongestMessage, new ErrorPayload(NbdError.Io, new string('x', 9999)).ToBytes().Length);
    }

    [Fact]
    public void Extents_with_the_same_flags_are_one_run()
    {
        byte[] compact = Convert.FromHexString("00000003" + "00001000" + "00000003" + "00002000" + "00000003" + "00001000" + "00000000");
        Assert.Equal((3u, new BlockStatusExtent(0x3000, 3)), BlockStatusExtent.ParseRun(compact, extended: false));
        byte[] extended = new byte[BlockStatusExtent.ExtendedHead + BlockStatusExtent.ExtendedSize];
        BlockStatusExtent.WriteHead(extended, 9, 1, extended: true);
        new BlockStatusExtent(1UL << 40, 1).WriteTo(extended.AsSpan(BlockStatusExtent.ExtendedHead), extended: true);
        Assert.Equal("00000009" + "00000001" + "0000010000000000" + "0000000000000001", Convert.ToHexString(extended));
        Assert.Equal((9u, new BlockStatusExtent(1UL << 40, 1)), BlockStatusExtent.ParseRun(extended, extended: true));
        Assert.Throws<NbdProtocolException>(() => BlockStatusExtent.ParseRun(compact.AsSpan(0, 13), extended: false));
        Assert.Throws<NbdProtocolException>(() => BlockStatusExtent.ParseRun(new byte[12], extended: false));
    }

    [Fact]
    public void Option_payloads_round_trip_and_wrong_lengths_are_rejected()
    {
        byte[] info = new InfoRequest("disk", [InfoType.BlockSize]).ToBytes();
        Assert.Equal("00000004" + "6469736B" + "0001" + "0003", Convert.ToHexString(info));
        Assert.Equal("disk", InfoRequest.Parse(info).Name);
        byte[] meta = new MetaContextRequest("d", ["base:allocation"]).ToBytes();
        Assert.Equal("00000001" + "64" + "00000001" + "0000000F" + Convert.ToHexString("base:allocation"u8), Convert.ToHexString(meta));
        Assert.Equal(["base:allocation"], MetaContextRequest.Parse(meta).Queries);
        byte[] context = new MetaContextReply(5, "base:allocation").ToBytes();
        Assert.Equal(new MetaContextReply(5, "base:allocation"), MetaContextReply.Parse(context));
        Assert.Throws<NbdProtocolException>(() => InfoRequest.Parse(Convert.FromHexString("FFFFFFFF6469736B00010003")));
        Assert.Throws<NbdProtocolException>(() => InfoRequest.Parse(Convert.FromHexString("000000046469736B00020003")));
        Assert.Throws<NbdProtocolException>(() => MetaContextRequest.Parse(Convert.FromHexString("0000000164FFFFFFFF")));
        Assert.Throws<NbdProtocolException>(() => InfoRequest.Parse(Convert.FromHexString("00000002FFFE0000")));
    }

    [Fact]
    public void Read_chunks_carry_their_offset()
    {
        byte[] hole = new byte[ReadPayload.HoleSize];
        ReadPayload.WriteHole(hole, 0x10000, 0x2000);
        Assert.Equal("0000000000010000" + "00002000", Convert.ToHexString(hole));
        Assert.Equal((0x10000UL, 0x2000u), ReadPayload.ParseHole(hole));
        Assert.Equal(
            new uint[] { 1, 2 }, BlockStatusPayload.Parse(Convert.FromHexString("0000000000001000" + "00000001" + "00000002")).Contexts);
    }
}
