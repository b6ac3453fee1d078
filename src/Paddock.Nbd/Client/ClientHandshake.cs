using System.Text;
using Paddock.Block;
using Paddock.Nbd.Transport;
using Paddock.Nbd.Wire;

namespace Paddock.Nbd.Client;

/// <summary>The client's side of the handshake. Blocks its thread; whoever calls it sees to a limit on time.</summary>
internal sealed class ClientHandshake(ReceiveBuffer input, SocketChannel plain, NbdTarget target)
{
    private static readonly InfoType[] Wanted = [InfoType.Description, InfoType.BlockSize];

    private HandshakeFlags _server;
    private HeaderForm _form;

    /// <summary>The number of base:allocation in block status chunks; null when the server has no such context.</summary>
    public uint? AllocationId { get; private set; }

    /// <summary>Greets, goes through TLS where certificates were given, and agrees on the form of replies.</summary>
    public void Begin()
    {
        _server = Greeting.Parse(Next(Greeting.Size)).Flags;
        input.Consume(Greeting.Size);
        if ((_server & HandshakeFlags.FixedNewstyle) == 0)
        {
            throw new BlockException(BlockError.NotSupported, "the server does not speak fixed newstyle NBD");
        }

        byte[] flags = new byte[ClientFlags.Size];
        new ClientFlags(_server & (HandshakeFlags.FixedNewstyle | HandshakeFlags.NoZeroes)).WriteTo(flags);
        Send(flags);
        if (target.Tls is { } tls)
        {
            StartTls(tls);
        }

        _form = IsTaken(NbdOption.ExtendedHeaders) ? HeaderForm.Extended
            : IsTaken(NbdOption.StructuredReply) ? HeaderForm.Structured : HeaderForm.Simple;
    }

    /// <summary>Chooses the export: requests may follow.</summary>
    public NbdExportInfo Go()
    {
        string[] contexts = [];
        if (_form != HeaderForm.Simple)
        {
            Send(NbdOption.SetMetaContext, new MetaContextRequest(target.ExportName, [MetaContexts.Allocation]).ToBytes());
            contexts = [.. Replies(NbdOption.SetMetaContext).Where(r => r.Head.Type == OptionReplyType.MetaContext).Select(TakeContext)];
        }

        Send(NbdOption.Go, new InfoRequest(target.ExportName, Wanted).ToBytes());
        return TakeInfo(NbdOption.Go, target.ExportName, contexts);
    }

    /// <summary>Asks for all exports, and for what each is.</summary>
    public List<NbdExportInfo> List()
    {
        Send(NbdOption.List, []);
        var names = Replies(NbdOption.List).Where(r => r.Head.Type == OptionReplyType.Server).Select(TakeListed).ToList();
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
            var info = TakeInfo(NbdOption.Info, name, contexts);
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
        if (context.Name == MetaContexts.Allocation)
        {
            AllocationId = context.Id;
        }

        return context.Name;
    }

    private NbdExportInfo TakeInfo(NbdOption option, string name, string[] contexts)
    {
        var info = new NbdExportInfo(name, "", -1, 0, 1, 0, NbdLimits.MaxPayload, (int)_form, contexts);
        foreach (var reply in Replies(option))
        {
            if (reply.Head.IsError)
            {
                throw Refused(option, reply, name);
            }

            if (reply.Head.Type != OptionReplyType.Info)
            {
                continue;
            }

            NbdProtocolException.ExpectAtLeast("InfoReply", sizeof(ushort), reply.Payload.Length);
            switch ((InfoType)((reply.Payload[0] << 8) | reply.Payload[1]))
            {
                case InfoType.Export:
                    var export = ExportInfo.Parse(reply.Payload);
                    info = export.ExportSize <= long.MaxValue
                        ? info with { Size = (long)export.ExportSize, Flags = (ushort)export.Flags }
                        : throw new NbdProtocolException(nameof(ExportInfo), 2, $"an export of {export.ExportSize} bytes");
                    break;
                case InfoType.BlockSize:
                    var size = BlockSizeInfo.Parse(reply.Payload);
                    uint most = Math.Min(size.Maximum, NbdLimits.MaxPayload) & ~(size.Minimum - 1);
                    info = info with { MinimumBlock = size.Minimum, PreferredBlock = size.Preferred, MaximumPayload = Math.Max(most, size.Minimum) };
                    break;
                case InfoType.Description:
                    info = info with { Description = NbdString.Text("InfoReply", sizeof(ushort), reply.Payload.AsSpan(sizeof(ushort))) };
                    break;
            }
        }

        return info.Size >= 0 ? info : throw new NbdProtocolException("InfoReply", 0, "the server did not tell the export's size");
    }

    private void StartTls(TlsCredentials credentials)
    {
        Send(NbdOption.StartTls, []);
        var reply = Replies(NbdOption.StartTls).Last();
        if (reply.Head.IsError)
        {
            throw new BlockException(BlockError.NotPermitted, "the server does not go through TLS" + Reported(reply));
        }

        if (input.Count > 0)
        {
            throw new NbdProtocolException("StartTls", 0, "the server went on in the clear");
        }

        input.Channel = TlsChannel.Connect(plain, credentials.ForClient(target.TlsHostname ?? target.Host));
    }

    private bool IsTaken(NbdOption option)
    {
        Send(option, []);
        var reply = Replies(option).Last();
        return reply.Head.Type switch
        {
            OptionReplyType.Ack => true,
            OptionReplyType.ErrorTlsRequired => throw Refused(option, reply, target.ExportName),
            _ => false,
        };
    }

    private static BlockException Refused(NbdOption option, Reply reply, string name) => reply.Head.Type switch
    {
        OptionReplyType.ErrorUnknown => new BlockException(BlockError.InvalidArgument, "Requested export not available" + Reported(reply)),
        OptionReplyType.ErrorTlsRequired => new BlockException(
            BlockError.InvalidArgument, $"Server requires TLS for option {(uint)option} ({Words(option)})\nDid you forget a valid tls-creds?" + Reported(reply)),
        _ => new BlockException(BlockError.InvalidArgument, $"the server refused export '{name}' ({reply.Head.Type})" + Reported(reply)),
    };

    private static string Words(NbdOption option) => option switch
    {
        NbdOption.ExtendedHeaders => "extended headers",
        NbdOption.StructuredReply => "structured reply",
        _ => option.ToString().ToLowerInvariant(),
    };

    private static string Reported(Reply reply)
        => reply.Payload.Length == 0 ? "" : "\nserver reported: " + EscapedText.Escape(Encoding.UTF8.GetString(reply.Payload));

    // all replies to one option: the last is an acknowledgement or a refusal
    private List<Reply> Replies(NbdOption option)
    {
        var replies = new List<Reply>();
        while (true)
        {
            var head = OptionReplyHeader.Parse(Next(OptionReplyHeader.Size));
            input.Consume(OptionReplyHeader.Size);
            if (head.Option != option || head.Length > NbdLimits.MaxOptionPayload || replies.Count > NbdLimits.MaxOptions)
            {
                throw new NbdProtocolException(nameof(OptionReplyHeader), 8, $"reply to option {(uint)head.Option} of {head.Length} bytes to option {(uint)option}");
            }

            byte[] payload = Next((int)head.Length).ToArray();
            input.Consume(payload.Length);
            replies.Add(new Reply(head, payload));
            if (head.IsError || head.Type == OptionReplyType.Ack)
            {
                return replies;
            }
        }
    }

    private ReadOnlySpan<byte> Next(int count)
        => input.Ensure(count) ? input.Available[..count] : throw new BlockException(BlockError.Io, "the server hung up during the handshake");

    private void Send(NbdOption option, byte[] payload)
    {
        byte[] bytes = new byte[OptionHeader.Size + payload.Length];
        new OptionHeader(option, (uint)payload.Length).WriteTo(bytes);
        payload.CopyTo(bytes, OptionHeader.Size);
        Send(bytes);
    }

    private void Send(byte[] bytes)
    {
        if (!input.Channel.Send(bytes))
        {
            throw new BlockException(BlockError.Io, "the server hung up during the handshake");
        }
    }

    private readonly record struct Reply(OptionReplyHeader Head, byte[] Payload);
}
