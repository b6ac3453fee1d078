using System.Text;
using Paddock.Block;
using Paddock.Nbd.Transport;
using Paddock.Nbd.Wire;

namespace Paddock.Nbd.Client;

/// <summary>The client's side of the handshake. Blocks its thread; the caller enforces a time limit.</summary>
internal sealed class ClientHandshake(ReceiveBuffer input, SocketChannel plain, NbdTarget target)
{
    private static readonly InfoType[] Wanted = [InfoType.Description, InfoType.BlockSize];

    private HandshakeFlags _server;
    private HeaderForm _form;
    private OldstyleGreeting? _oldstyle;

    /// <summary>Number of base:allocation in block status chunks; null if the server lacks the context.</summary>
    public uint? AllocationId { get; private set; }

    /// <summary>Exchanges greetings, starts TLS if credentials are set, and negotiates the form of replies.</summary>
    public void Begin()
    {
        _ = Next(sizeof(ulong), "initial magic");
        if (OldstyleGreeting.IsIt(Next(OldstyleGreeting.Begin, "server magic")))
        {
            TakeOldstyle();
            return;
        }

        _server = Greeting.Parse(Next(Greeting.Size, "server flags")).Flags;
        input.Consume(Greeting.Size);
        byte[] flags = new byte[ClientFlags.Size];
        new ClientFlags(_server & (HandshakeFlags.FixedNewstyle | HandshakeFlags.NoZeroes)).WriteTo(flags);
        Send(flags);
        if (target.Tls is { } tls)
        {
            if (!IsFixed)
            {
                throw NoTls();
            }

            StartTls(tls);
        }

        // a server without the "fixed" form disconnects on every unsupported option, and may support only one
        _form = !IsFixed ? HeaderForm.Simple : IsTaken(NbdOption.ExtendedHeaders) ? HeaderForm.Extended
            : IsTaken(NbdOption.StructuredReply) ? HeaderForm.Structured : HeaderForm.Simple;
    }

    /// <summary>Chooses the export; requests may follow.</summary>
    public NbdExportInfo Go()
    {
        if (_oldstyle is { } old)
        {
            return target.ExportName.Length == 0 ? OldstyleInfo(old)
                : throw new BlockException(BlockError.InvalidArgument, "Server does not support non-empty export names");
        }

        if (!IsFixed)
        {
            return TakeExportName();
        }

        string[] contexts = [];
        if (_form != HeaderForm.Simple)
        {
            Send(NbdOption.SetMetaContext, new MetaContextRequest(target.ExportName, [StatusContext]).ToBytes());
            contexts = [.. Replies(NbdOption.SetMetaContext).Where(r => r.Head.Type == OptionReplyType.MetaContext).Select(TakeContext)];
        }

        Send(NbdOption.Go, new InfoRequest(target.ExportName, Wanted).ToBytes());
        return TakeInfo(NbdOption.Go, target.ExportName, contexts) ?? TakeExportName();
    }

    /// <summary>Lists all exports with their information.</summary>
    public List<NbdExportInfo> List()
    {
        if (_oldstyle is { } old)
        {
            return [OldstyleInfo(old)];
        }

        if (!IsFixed)
        {
            throw new BlockException(BlockError.NotSupported, "Server does not support export lists");
        }

        Send(NbdOption.List, []);
        var listed = Replies(NbdOption.List);
        if (listed[^1].Head.IsError)
        {
            throw Refused(NbdOption.List, listed[^1]);
        }

        var names = listed.Where(r => r.Head.Type == OptionReplyType.Server).Select(TakeListed).ToList();
        var found = new List<NbdExportInfo>();
        foreach (var (name, description) in names)
        {
            string[] contexts = [];
            if (_form != HeaderForm.Simple)
            {
                Send(NbdOption.ListMetaContext, new MetaContextRequest(name, []).ToBytes());
                contexts = [.. Replies(NbdOption.ListMetaContext).Where(r => r.Head.Type == OptionReplyType.MetaContext)
                    .Select(r => MetaContextReply.Parse(r.Payload).Name)];
            }

            Send(NbdOption.Info, new InfoRequest(name, Wanted).ToBytes());
            var info = TakeInfo(NbdOption.Info, name, contexts) ?? new NbdExportInfo(name, "", 0, 0, 1, 0, 0, (int)_form, contexts);
            found.Add(info with { Description = description.Length > 0 ? description : info.Description });
        }

        Send(NbdOption.Abort, []);
        return found;
    }

    private static (string Name, string Description) TakeListed(Reply reply)
    {
        string name = NbdString.Parse("ListReply", reply.Payload, out int used);
        return (name, NbdString.Text("ListReply", used, reply.Payload.AsSpan(used)));
    }

    private string TakeContext(Reply reply)
    {
        var context = MetaContextReply.Parse(reply.Payload);
        if (context.Name == StatusContext)
        {
            AllocationId = context.Id;
        }

        return context.Name;
    }

    private string StatusContext => target.StatusContext ?? MetaContexts.Allocation;

    // a fixed newstyle server; others support only EXPORT_NAME
    private bool IsFixed => (_server & HandshakeFlags.FixedNewstyle) != 0;

    private static BlockException NoTls() => new(BlockError.NotSupported, "Server does not support STARTTLS");

    private void TakeOldstyle()
    {
        if (target.Tls is not null)
        {
            throw NoTls();
        }

        _oldstyle = OldstyleGreeting.Parse(Next(OldstyleGreeting.Size, "export length"));
        input.Consume(OldstyleGreeting.Size);
    }

    private NbdExportInfo OldstyleInfo(OldstyleGreeting greeting) => Whole(Unknown("", []) with
    {
        Size = SizeOf(nameof(OldstyleGreeting), greeting.ExportSize), Flags = (ushort)greeting.Flags,
    });

    // for servers without GO: they reject an export by disconnecting
    private NbdExportInfo TakeExportName()
    {
        Send(NbdOption.ExportName, Encoding.UTF8.GetBytes(target.ExportName));
        int size = ExportNameReply.Size + ((_server & HandshakeFlags.NoZeroes) == 0 ? ExportNameReply.Zeroes : 0);

        // a server without the export disconnects
        var export = ExportNameReply.Parse(Next(size, "export length"));
        input.Consume(size);
        return Whole(Unknown(target.ExportName, []) with
        {
            Size = SizeOf(nameof(ExportNameReply), export.ExportSize), Flags = (ushort)export.Flags,
        });
    }

    private NbdExportInfo Unknown(string name, string[] contexts) => new(name, "", -1, 0, 0, 0, NbdLimits.MaxPayload, (int)_form, contexts);

    private static long SizeOf(string structure, ulong size)
        => size <= long.MaxValue - 511 ? (long)size : throw new NbdProtocolException(structure, 0, $"an export of {size} bytes");

    private static NbdExportInfo Whole(NbdExportInfo info)
    {
        if (info.Size < 0)
        {
            throw new NbdProtocolException("InfoReply", 0, "the server did not tell the export's size");
        }

        if (info.MinimumBlock == 0)
        {
            // a server that reports no block size accepts sectors, or bytes if its size is not in whole sectors
            return info with { MinimumBlock = info.Size % 512 == 0 ? 512u : 1 };
        }

        return info.Size % info.MinimumBlock == 0 ? info : throw new BlockException(
            BlockError.InvalidArgument, $"export size {info.Size} is not multiple of minimum block size {info.MinimumBlock}");
    }

    // null: the server does not support the option
    private NbdExportInfo? TakeInfo(NbdOption option, string name, string[] contexts)
    {
        var info = Unknown(name, contexts);
        foreach (var reply in Replies(option))
        {
            if (reply.Head.Type == OptionReplyType.ErrorUnsupported)
            {
                return null;
            }

            if (reply.Head.IsError)
            {
                throw Refused(option, reply);
            }

            if (reply.Head.Type == OptionReplyType.Info)
            {
                info = With(info, reply.Payload);
            }
        }

        return Whole(info);
    }

    private static NbdExportInfo With(NbdExportInfo info, byte[] payload)
    {
        NbdProtocolException.ExpectAtLeast("InfoReply", sizeof(ushort), payload.Length);
        switch ((InfoType)((payload[0] << 8) | payload[1]))
        {
            case InfoType.Export:
                var export = ExportInfo.Parse(payload);
                return info with { Size = SizeOf(nameof(ExportInfo), export.ExportSize), Flags = (ushort)export.Flags };
            case InfoType.BlockSize:
                var size = BlockSizeInfo.Parse(payload);
                uint most = Math.Min(size.Maximum, NbdLimits.MaxPayload) & ~(size.Minimum - 1);
                return info with { MinimumBlock = size.Minimum, PreferredBlock = size.Preferred,
                    MaximumPayload = Math.Max(most, size.Minimum) };
            case InfoType.Description:
                return info with { Description = NbdString.Text("InfoReply", sizeof(ushort), payload.AsSpan(sizeof(ushort))) };
            default:
                return info;
        }
    }

    private void StartTls(TlsCredentials credentials)
    {
        Send(NbdOption.StartTls, []);
        var reply = Replies(NbdOption.StartTls).Last();
        if (reply.Head.IsError)
        {
            throw Refused(NbdOption.StartTls, reply);
        }

        if (input.Count > 0)
        {
            throw new NbdProtocolException("StartTls", 0, "the server went on in the clear");
        }

        string? host = target.TlsHostname ?? (target.SocketPath is null ? target.Host : null);
        input.Channel = credentials.Psk is { } keys ? PskChannel.Connect(plain, keys) : TlsChannel.Connect(plain, credentials, host);
    }

    // a server that requires TLS reports it for the option that chooses the export
    private bool IsTaken(NbdOption option)
    {
        Send(option, []);
        return Replies(option).Last().Head.Type == OptionReplyType.Ack;
    }

    private BlockException Refused(NbdOption option, Reply reply)
    {
        // the server may have disconnected already
        _ = input.Channel.Send(Message(NbdOption.Abort, []));
        string which = $"option {(uint)option} ({Words(option)})";
        string why = reply.Head.Type switch
        {
            OptionReplyType.ErrorUnknown => "Requested export not available",
            OptionReplyType.ErrorPolicy => "Denied by server for " + which,
            OptionReplyType.ErrorInvalid => "Invalid parameters for " + which,
            OptionReplyType.ErrorPlatform => "Server lacks support for " + which,
            OptionReplyType.ErrorTlsRequired => $"TLS negotiation required before {which}\nDid you forget a valid tls-creds?",
            OptionReplyType.ErrorShutdown => "Server shutting down before " + which,
            OptionReplyType.ErrorBlockSizeRequired => "Server requires INFO_BLOCK_SIZE for " + which,
            OptionReplyType.ErrorUnsupported => "Server does not support " + which,
            _ => "Unknown error code when asking for " + which,
        };
        return new BlockException(BlockError.InvalidArgument, why + Reported(reply));
    }

    private static string Words(NbdOption option) => option switch
    {
        NbdOption.ExportName => "export name",
        NbdOption.ExtendedHeaders => "extended headers",
        NbdOption.StructuredReply => "structured reply",
        NbdOption.ListMetaContext => "list meta context",
        NbdOption.SetMetaContext => "set meta context",
        _ => option.ToString().ToLowerInvariant(),
    };

    private static string Reported(Reply reply)
        => reply.Payload.Length == 0 ? "" : "\nserver reported: " + NbdErrorText.Shown(Encoding.UTF8.GetString(reply.Payload));

    // all replies to one option: the last is an acknowledgement or an error
    private List<Reply> Replies(NbdOption option)
    {
        var replies = new List<Reply>();
        while (true)
        {
            var head = OptionReplyHeader.Parse(Next(OptionReplyHeader.Size, "option reply"));
            input.Consume(OptionReplyHeader.Size);
            if (head.Option != option || head.Length > NbdLimits.MaxOptionPayload || replies.Count > NbdLimits.MaxOptions)
            {
                throw new NbdProtocolException(
                    nameof(OptionReplyHeader), 8, $"reply to option {(uint)head.Option} of {head.Length} bytes to option {(uint)option}");
            }

            byte[] payload = Next((int)head.Length, "option reply").ToArray();
            input.Consume(payload.Length);
            replies.Add(new Reply(head, payload));
            if (head.IsError || head.Type == OptionReplyType.Ack)
            {
                return replies;
            }
        }
    }

    private ReadOnlySpan<byte> Next(int count, string what)
        => input.Ensure(count) ? input.Available[..count]
            : throw new BlockException(BlockError.Io, $"Failed to read {what}: "
                + (input.Channel == plain ? "Unexpected end-of-file before all data were read" : TlsText.CannotRead));

    private void Send(NbdOption option, byte[] payload) => Send(Message(option, payload));

    private static byte[] Message(NbdOption option, byte[] payload)
    {
        byte[] bytes = new byte[OptionHeader.Size + payload.Length];
        new OptionHeader(option, (uint)payload.Length).WriteTo(bytes);
        payload.CopyTo(bytes, OptionHeader.Size);
        return bytes;
    }

    private void Send(byte[] bytes)
    {
        if (!input.Channel.Send(bytes))
        {
            throw new BlockException(BlockError.Io, "Failed to send option request header: Unable to write to socket: Broken pipe");
        }
    }

    private readonly record struct Reply(OptionReplyHeader Head, byte[] Payload);
}
