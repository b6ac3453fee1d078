using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Tests;

/// <summary>Byte layout of each in-band authentication message.</summary>
public class AuthWireTests
{
    [Fact]
    public void Negotiate_message_equals_that_of_Linux()
    {
        byte[] message = new byte[AuthNegotiate.Size];
        AuthNegotiate.Write(message, 0x0102, [1, 2, 3], [0, 1, 2, 3, 4, 5]);
        string ids = "010203" + new string('0', 54) + "000102030405" + new string('0', 48);
        Assert.Equal("0000000002010001" + "01000306" + ids, Convert.ToHexString(message));
        Assert.Equal(AuthFailure.None, AuthNegotiate.Read(message, out var hashes, out var groups));
        Assert.Equal("010203 000102030405", $"{Convert.ToHexString(hashes)} {Convert.ToHexString(groups)}");
    }

    [Fact]
    public void Unknown_authentication_protocol_is_ignored()
    {
        byte[] one = new byte[AuthNegotiate.Size];
        AuthNegotiate.Write(one, 1, [2], [1]);
        byte[] two = [.. one[..8], .. new byte[64], .. one[8..]];
        two[7] = 2;
        two[8] = 0x7F;
        Assert.Equal(AuthFailure.None, AuthNegotiate.Read(two, out var hashes, out _));
        Assert.Equal(2, hashes[0]);
        two[7] = 1;
        Assert.Equal(AuthFailure.NoUsableProtocol, AuthNegotiate.Read(two.AsSpan(0, 72), out _, out _));
    }

    [Theory]
    [InlineData(6, 1, (int)AuthFailure.ConcatenationMismatch)]
    [InlineData(7, 0, (int)AuthFailure.IncorrectPayload)]
    [InlineData(7, 2, (int)AuthFailure.IncorrectPayload)]
    [InlineData(8, 2, (int)AuthFailure.NoUsableProtocol)]
    [InlineData(10, 31, (int)AuthFailure.IncorrectPayload)]
    [InlineData(11, 255, (int)AuthFailure.IncorrectPayload)]
    public void Each_invalid_negotiate_message_has_its_own_failure(int offset, byte value, int failure)
    {
        byte[] message = new byte[AuthNegotiate.Size];
        AuthNegotiate.Write(message, 1, [1], [1]);
        message[offset] = value;
        Assert.Equal((AuthFailure)failure, AuthNegotiate.Read(message, out _, out _));
    }

    [Fact]
    public void Challenge_message_has_its_specified_layout()
    {
        byte[] challenge = [.. Enumerable.Repeat((byte)0xC1, 32)], value = [0xD0, 0xD1, 0xD2, 0xD3];
        var message = new ChapChallenge { Transaction = 0x0A0B, Hash = 1, Group = 2, Sequence = 0x11223344, Challenge = challenge,
            PublicValue = value };
        byte[] bytes = new byte[message.Length];
        message.WriteTo(bytes);
        Assert.Equal(
            "010100000B0A" + "2000" + "0102" + "0400" + "44332211" + string.Concat(Enumerable.Repeat("C1", 32))
            + "D0D1D2D3", Convert.ToHexString(bytes));
        Assert.True(ChapChallenge.TryRead([.. bytes, 0, 0], out var back));
        Assert.True(back is { Transaction: 0x0A0B, Hash: 1, Group: 2, Sequence: 0x11223344 } && back.Challenge.SequenceEqual(challenge)
            && back.PublicValue.SequenceEqual(value));
        for (int length = 0; length < bytes.Length; length++)
        {
            Assert.False(ChapChallenge.TryRead(bytes.AsSpan(0, length), out _));
        }
    }

    [Fact]
    public void Reply_message_has_its_specified_layout()
    {
        byte[] response = [.. Enumerable.Repeat((byte)0xA1, 32)], challenge = [.. Enumerable.Repeat((byte)0xC2, 32)],
            value = [0xE0, 0xE1, 0xE2, 0xE3];
        var message = new ChapReply
        {
            Transaction = 0x0A0B, Challenges = true, Sequence = 0x55667788, Response = response, Challenge = challenge, PublicValue = value,
        };
        byte[] bytes = new byte[message.Length];
        message.WriteTo(bytes);
        string values = string.Concat(Enumerable.Repeat("A1", 32)) + string.Concat(Enumerable.Repeat("C2", 32)) + "E0E1E2E3";
        Assert.Equal("010200000B0A" + "2000" + "0100" + "0400" + "88776655" + values, Convert.ToHexString(bytes));
        Assert.True(ChapReply.TryRead(bytes, out var back));
        Assert.True(back is { Transaction: 0x0A0B, Challenges: true, Sequence: 0x55667788 } && back.Response.SequenceEqual(response)
            && back.Challenge.SequenceEqual(challenge) && back.PublicValue.SequenceEqual(value));
        for (int length = 0; length < bytes.Length; length++)
        {
            Assert.False(ChapReply.TryRead(bytes.AsSpan(0, length), out _));
        }

        Assert.False(ChapReply.TryRead([.. bytes, 0], out _));
    }

    [Fact]
    public void Success_and_failure_messages_have_their_specified_layout()
    {
        byte[] bytes = new byte[64];
        var success = new ChapSuccess1 { Transaction = 7, HashLength = 32, Response = Enumerable.Repeat((byte)0xA2, 32).ToArray() };
        success.WriteTo(bytes);
        Assert.Equal("010300000700" + "2000" + "01" + "00000000000000"
            + string.Concat(Enumerable.Repeat("A2", 32)), Convert.ToHexString(bytes, 0, 48));
        Assert.True(ChapSuccess1.TryRead(bytes, out var back));
        Assert.Equal(32, back.Response.Length);
        Assert.False(ChapSuccess1.TryRead(bytes.AsSpan(0, 47), out _));
        new ChapSuccess1 { Transaction = 7, HashLength = 48, Response = default }.WriteTo(bytes);
        Assert.Equal("010300000700" + "3000" + "0000000000000000", Convert.ToHexString(bytes, 0, 16));
        ChapSuccess2.Write(bytes, 7);
        Assert.Equal("010400000700" + "00000000000000000000", Convert.ToHexString(bytes, 0, 16));
        AuthFailureMessage.Write(bytes, AuthMessage.Failure1, 7, AuthFailure.GroupUnusable);
        Assert.Equal("00F100000700" + "0105", Convert.ToHexString(bytes, 0, 8));
        AuthFailureMessage.Write(bytes, AuthMessage.Failure2, 7, AuthFailure.AuthenticationFailed);
        Assert.Equal("00F000000700" + "0101", Convert.ToHexString(bytes, 0, 8));
    }
}
