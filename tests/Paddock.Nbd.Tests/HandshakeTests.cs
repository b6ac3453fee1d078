using System.Text;
using Paddock.Nbd.Server;
using Paddock.Nbd.Wire;
using Paddock.Testing.Protocols.Nbd;

namespace Paddock.Nbd.Tests;

/// <summary>The handshake, without a socket: bytes in, bytes out.</summary>
public class HandshakeTests
{
    [Fact]
    public void EXPORT_NAME_replies_size_flags_and_zeroes()
    {
        var talk = new Talk();
        talk.Feed([0, 0, 0, 0]);
        Assert.Equal(HandshakeStep.Transmission, talk.Feed(Talk.Option(NbdOption.ExportName, Encoding.UTF8.GetBytes("disk"))));
        Assert.Equal("0000000000100000" + "0D6D" + new string('0', 248), Convert.ToHexString(talk.Taken()));
    }

    [Fact]
    public void NO_ZEROES_omits_the_zeroes()
    {
        var talk = new Talk();
        talk.Feed([0, 0, 0, 3]);
        talk.Feed(Talk.Option(NbdOption.ExportName, "disk"u8.ToArray()));
        Assert.Equal(ExportNameReply.Size, talk.Taken().Length);
    }

    [Fact]
    public void Unknown_export_closes_EXPORT_NAME_and_fails_GO()
    {
        var talk = new Talk();
        talk.Feed([0, 0, 0, 3]);
        Assert.Equal(HandshakeStep.Continue, talk.Feed(Talk.Option(NbdOption.Go, new InfoRequest("nothing", []).ToBytes())));
        Assert.Equal(OptionReplyType.ErrorUnknown, OptionReplyHeader.Parse(talk.Taken()).Type);
        Assert.Equal(HandshakeStep.Close, talk.Feed(Talk.Option(NbdOption.ExportName, "nothing"u8.ToArray())));
    }

    [Fact]
    public void GO_replies_the_requested_info_and_starts_transmission()
    {
        var talk = new Talk();
        talk.Feed([0, 0, 0, 3]);
        var step = talk.Feed(Talk.Option(NbdOption.Go, new InfoRequest("disk", [InfoType.Name, InfoType.Description]).ToBytes()));
        Assert.Equal((HandshakeStep.Transmission, "disk"), (step, talk.Handshake.Export?.Name));
        Assert.Equal(
            ["Info 00016469736B", "Info 0002"
            + Convert.ToHexString("a disk"u8), "Info 0003000000010000100002000000", "Info 000000000000001000000D6D", "Ack "],
            talk.Replies());
    }

    [Fact]
    public void LIST_names_every_export()
    {
        var talk = new Talk();
        talk.Feed([0, 0, 0, 3]);
        talk.Feed(Talk.Option(NbdOption.List, []));
        Assert.Equal(["Server 000000046469736B" + Convert.ToHexString("a disk"u8), "Ack "], talk.Replies());
    }

    [Fact]
    public void Contexts_require_structured_replies_and_belong_to_their_export()
    {
        var talk = new Talk();
        talk.Feed([0, 0, 0, 3]);
        byte[] set = Talk.Option(NbdOption.SetMetaContext, new MetaContextRequest("disk", ["base:allocation", "x:y"]).ToBytes());
        talk.Feed(set);
        Assert.StartsWith("ErrorInvalid", Assert.Single(talk.Replies()), StringComparison.Ordinal);
        talk.Feed(Talk.Option(NbdOption.StructuredReply, []));
        talk.Feed(set);
        Assert.Equal(["Ack ", "MetaContext 00000000" + Convert.ToHexString("base:allocation"u8), "Ack "], talk.Replies());
        talk.Feed(Talk.Option(NbdOption.Go, new InfoRequest("disk", []).ToBytes()));
        Assert.Equal([MetaContexts.AllocationId], talk.Handshake.Contexts);
    }

    [Fact]
    public void Contexts_are_listed_by_prefix()
    {
        var talk = new Talk();
        talk.Feed([0, 0, 0, 3]);
        talk.Feed(Talk.Option(NbdOption.ListMetaContext, new MetaContextRequest("disk", ["base:"]).ToBytes()));
        talk.Feed(Talk.Option(NbdOption.ListMetaContext, new MetaContextRequest("disk", ["other:"]).ToBytes()));
        talk.Feed(Talk.Option(NbdOption.ListMetaContext, new MetaContextRequest("disk", []).ToBytes()));
        Assert.Equal(["MetaContext", "Ack", "Ack", "MetaContext", "Ack"], talk.Replies().Select(r => r.Split(' ')[0]));
    }

    [Fact]
    public void Extended_headers_include_structured_replies()
    {
        var talk = new Talk();
        talk.Feed([0, 0, 0, 3]);
        talk.Feed(Talk.Option(NbdOption.ExtendedHeaders, []));
        talk.Feed(Talk.Option(NbdOption.StructuredReply, []));
        Assert.Equal(["Ack", "ErrorExtendedHeadersRequired"], talk.Replies().Select(r => r.Split(' ')[0]));
        Assert.Equal(HeaderForm.Extended, talk.Handshake.Form);
    }

    [Fact]
    public void STARTTLS_is_rejected_without_certificates()
    {
        var talk = new Talk();
        talk.Feed([0, 0, 0, 3]);
        talk.Feed(Talk.Option(NbdOption.StartTls, []));
        Assert.StartsWith("ErrorPolicy", Assert.Single(talk.Replies()), StringComparison.Ordinal);
    }

    [Fact]
    public void Options_before_required_TLS_are_rejected()
    {
        var talk = new Talk(TlsMode.Required);
        talk.Feed([0, 0, 0, 3]);
        foreach (var option in new[] { NbdOption.List, NbdOption.StructuredReply, (NbdOption)99 })
        {
            Assert.Equal(HandshakeStep.Continue, talk.Feed(Talk.Option(option, [])));
            Assert.StartsWith("ErrorTlsRequired", Assert.Single(talk.Replies()), StringComparison.Ordinal);
        }

        Assert.Equal(HandshakeStep.Close, talk.Feed(Talk.Option(NbdOption.ExportName, [])));
    }

    [Fact]
    public void Plain_bytes_after_STARTTLS_close_the_connection()
    {
        var talk = new Talk(TlsMode.Allowed);
        talk.Feed([0, 0, 0, 3]);
        Assert.Equal(HandshakeStep.Close, talk.Feed([.. Talk.Option(NbdOption.StartTls, []), 0]));
        talk = new Talk(TlsMode.Allowed);
        talk.Feed([0, 0, 0, 3]);
        Assert.Equal(HandshakeStep.StartTls, talk.Feed(Talk.Option(NbdOption.StartTls, [])));
    }

    [Fact]
    public void TLS_discards_earlier_negotiation()
    {
        var talk = new Talk(TlsMode.Allowed);
        talk.Feed([0, 0, 0, 3]);
        talk.Feed(Talk.Option(NbdOption.StructuredReply, []));
        talk.Feed(Talk.Option(NbdOption.StartTls, []));
        talk.Handshake.Secured();
        Assert.Equal(HeaderForm.Simple, talk.Handshake.Form);
        talk.Taken();
        talk.Feed(Talk.Option(NbdOption.StartTls, []));
        Assert.StartsWith("ErrorInvalid", Assert.Single(talk.Replies()), StringComparison.Ordinal);
    }

    [Fact]
    public void Unknown_option_is_rejected_and_oversized_one_closes_the_connection()
    {
        var talk = new Talk();
        talk.Feed([0, 0, 0, 3]);
        Assert.Equal(HandshakeStep.Continue, talk.Feed(Talk.Option((NbdOption)77, new byte[100])));
        Assert.StartsWith("ErrorUnsupported", Assert.Single(talk.Replies()), StringComparison.Ordinal);
        byte[] head = new byte[OptionHeader.Size];
        new OptionHeader(NbdOption.Go, uint.MaxValue).WriteTo(head);
        Assert.Equal(HandshakeStep.Close, talk.Feed(head));
        Assert.StartsWith("ErrorTooBig", Assert.Single(talk.Replies()), StringComparison.Ordinal);
    }

    [Fact]
    public void Invalid_payload_is_rejected_and_the_handshake_continues()
    {
        var talk = new Talk();
        talk.Feed([0, 0, 0, 3]);
        Assert.Equal(HandshakeStep.Continue, talk.Feed(Talk.Option(NbdOption.Go, [0, 0, 0, 200])));
        Assert.StartsWith("ErrorInvalid", Assert.Single(talk.Replies()), StringComparison.Ordinal);
        Assert.Equal(HandshakeStep.Close, talk.Feed(Talk.Option(NbdOption.Abort, [])));
    }

    [Fact]
    public void Number_of_options_is_limited()
    {
        var talk = new Talk();
        talk.Feed([0, 0, 0, 3]);
        Assert.Throws<NbdProtocolException>(() =>
        {
            for (int i = 0; i <= NbdLimits.MaxOptions; i++)
            {
                talk.Feed(Talk.Option(NbdOption.List, []));
                talk.Taken();
            }
        });
    }

    [Theory]
    [InlineData(1)]
    [InlineData(500)]
    [InlineData(9000)]
    public void Random_options_are_answered_or_rejected(int seed)
    {
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        var random = new Random(seed);
        for (int round = 0; round < 3000; round++)
        {
            var talk = new Talk(random.Next(2) == 0 ? TlsMode.Off : TlsMode.Allowed);
            try
            {
                talk.Feed([0, 0, 0, 3]);
                for (int i = 0; i < 6; i++)
                {
                    byte[] payload = random.Next(3) == 0 ? new InfoRequest("disk", []).ToBytes() : new byte[random.Next(40)];
                    if (random.Next(2) == 0)
                    {
                        random.NextBytes(payload.AsSpan(random.Next(payload.Length + 1)));
                    }

                    byte[] bytes = Talk.Option((NbdOption)random.Next(13), payload);
                    if (random.Next(4) == 0 && bytes.Length > 0)
                    {
                        bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
                    }

                    if (talk.Feed(bytes) is HandshakeStep.Close or HandshakeStep.Transmission or HandshakeStep.StartTls)
                    {
                        break;
                    }

                    Assert.InRange(talk.Taken().Length, 0, 65536);
                }
            }
            catch (NbdProtocolException)
            {
                // rejected with a message
            }
        }
    }

    /// <summary>A handshake and its replies.</summary>
    private sealed class Talk
    {
        public Talk(TlsMode tls = TlsMode.Off)
        {
            var export = new NbdExport { Name = "disk", Description = "a disk", Device = Bench.Disk().Device };
            Handshake = new ServerHandshake(new Dictionary<string, NbdExport> { ["disk"] = export }, new NbdServerOptions { Tls = tls });
            Handshake.Begin();
            Taken();
        }

        public ServerHandshake Handshake { get; }

        public static byte[] Option(NbdOption option, byte[] payload)
        {
            byte[] bytes = new byte[OptionHeader.Size + payload.Length];
            new OptionHeader(option, (uint)payload.Length).WriteTo(bytes);
            payload.CopyTo(bytes, OptionHeader.Size);
            return bytes;
        }

        /// <summary>Supplies bytes and steps until more are required or another step follows.</summary>
        public HandshakeStep Feed(byte[] bytes)
        {
            var rest = bytes.AsSpan();
            while (true)
            {
                var step = Handshake.Step(rest, out int used);
                rest = rest[used..];
                if (step is not HandshakeStep.Continue)
                {
                    return step == HandshakeStep.MoreInput && rest.Length == 0 ? HandshakeStep.Continue : step;
                }
            }
        }

        public byte[] Taken()
        {
            byte[] bytes = Handshake.Output.ToArray();
            Handshake.Sent();
            return bytes;
        }

        public List<string> Replies()
        {
            var replies = new List<string>();
            for (var rest = Taken().AsSpan(); rest.Length > 0;)
            {
                var head = OptionReplyHeader.Parse(rest);
                rest = rest[OptionReplyHeader.Size..];
                replies.Add($"{head.Type} {Convert.ToHexString(rest[..(int)head.Length])}");
                rest = rest[(int)head.Length..];
            }

            return replies;
        }
    }
}
