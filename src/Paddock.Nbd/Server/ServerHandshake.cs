using System.Buffers;
using System.Text;
using Paddock.Nbd.Wire;

namespace Paddock.Nbd.Server;

/// <summary>Action of the connection after a step of the handshake.</summary>
internal enum HandshakeStep
{
    /// <summary>Step again.</summary>
    Continue,

    /// <summary>Receive <see cref="ServerHandshake.Wanted"/> bytes first.</summary>
    MoreInput,

    /// <summary>Send the output, then start TLS.</summary>
    StartTls,

    /// <summary>Send the output; requests follow.</summary>
    Transmission,

    /// <summary>Send the output and disconnect.</summary>
    Close,
}

/// <summary>
/// The server's side of the newstyle handshake: bytes in, bytes out, no socket (protocol, "Fixed newstyle negotiation").
/// </summary>
internal sealed class ServerHandshake(IReadOnlyDictionary<string, NbdExport> exports, NbdServerOptions options)
{
    private readonly ArrayBufferWriter<byte> _output = new();
    private HandshakeFlags _client;
    private bool _greeted;
    private bool _secured;
    private int _count;
    private string? _contextsOf;
    private readonly List<uint> _contexts = [];

    /// <summary>Bytes to send; cleared by <see cref="Sent"/>.</summary>
    public ReadOnlyMemory<byte> Output => _output.WrittenMemory;

    /// <summary>Number of contiguous bytes that the next step requires.</summary>
    public int Wanted { get; private set; } = ClientFlags.Size;

    /// <summary>The chosen export; set when transmission begins.</summary>
    public NbdExport? Export { get; private set; }

    /// <summary>Form of requests and replies.</summary>
    public HeaderForm Form { get; private set; }

    /// <summary>Why the last option was rejected; null: none was.</summary>
    public string? Refusal { get; private set; }

    /// <summary>Whether the client has answered the greeting.</summary>
    public bool IsGreeted => _greeted;

    /// <summary>Numbers of the contexts negotiated for the export.</summary>
    public IReadOnlyList<uint> Contexts => _contexts;

    /// <summary>Writes the greeting.</summary>
    public void Begin()
    {
        new Greeting(HandshakeFlags.FixedNewstyle | HandshakeFlags.NoZeroes).WriteTo(_output.GetSpan(Greeting.Size));
        _output.Advance(Greeting.Size);
    }

    /// <summary>Clears the output after it has been sent.</summary>
    public void Sent() => _output.ResetWrittenCount();

    /// <summary>Discards everything negotiated before TLS.</summary>
    public void Secured()
    {
        _secured = true;
        Form = HeaderForm.Simple;
        _contextsOf = null;
        _contexts.Clear();
    }

    /// <summary>Parses one message from the start of the received bytes.</summary>
    /// <param name="input">Received bytes that have not been parsed.</param>
    /// <param name="used">Number of bytes parsed.</param>
    /// <exception cref="NbdProtocolException">The client violates the protocol.</exception>
    public HandshakeStep Step(ReadOnlySpan<byte> input, out int used)
    {
        used = 0;
        if (input.Length < Wanted)
        {
            return HandshakeStep.MoreInput;
        }

        if (!_greeted)
        {
            _client = ClientFlags.Parse(input).Flags;
            _greeted = true;
            used = ClientFlags.Size;
            Wanted = OptionHeader.Size;
            return HandshakeStep.Continue;
        }

        var head = OptionHeader.Parse(input);
        if (head.Length > NbdLimits.MaxOptionPayload)
        {
            Refuse(head.Option, OptionReplyType.ErrorTooBig, $"an option's payload may be {NbdLimits.MaxOptionPayload} bytes long");
            return HandshakeStep.Close;
        }

        Wanted = OptionHeader.Size + (int)head.Length;
        if (input.Length < Wanted)
        {
            return HandshakeStep.MoreInput;
        }

        used = Wanted;
        Wanted = OptionHeader.Size;
        if (++_count > NbdLimits.MaxOptions)
        {
            throw new NbdProtocolException(nameof(OptionHeader), 0, $"more than {NbdLimits.MaxOptions} options");
        }

        var payload = input[OptionHeader.Size..used];
        bool isFixed = (_client & HandshakeFlags.FixedNewstyle) != 0;
        if (!isFixed && head.Option != NbdOption.ExportName)
        {
            throw new NbdProtocolException(nameof(OptionHeader), sizeof(ulong), "only EXPORT_NAME may come without fixed newstyle");
        }

        if (options.Tls == TlsMode.Required && !_secured && head.Option is not (NbdOption.StartTls or NbdOption.Abort))
        {
            Refuse(head.Option, OptionReplyType.ErrorTlsRequired, $"Option 0x{(uint)head.Option:x} not permitted before TLS");
            return head.Option == NbdOption.ExportName ? HandshakeStep.Close : HandshakeStep.Continue;
        }

        try
        {
            return Take(head.Option, payload, input.Length > used);
        }
        catch (NbdProtocolException e) when (isFixed && head.Option != NbdOption.ExportName)
        {
            Refuse(head.Option, OptionReplyType.ErrorInvalid, e.Message);
            return HandshakeStep.Continue;
        }
        catch (Exception e) when (isFixed && head.Option != NbdOption.ExportName && e is not NbdProtocolException)
        {
            // a device whose size is unavailable: the client may choose another export
            Refuse(head.Option, OptionReplyType.ErrorUnknown, "the export is not available now: " + e.Message);
            return HandshakeStep.Continue;
        }
    }

    private HandshakeStep Take(NbdOption option, ReadOnlySpan<byte> payload, bool moreBehind)
    {
        switch (option)
        {
            case NbdOption.ExportName:
                return TakeExportName(payload);
            case NbdOption.Abort:
                Reply(option, OptionReplyType.Ack, []);
                return HandshakeStep.Close;
            case NbdOption.StartTls:
                return TakeStartTls(payload, moreBehind);
            case NbdOption.List:
                TakeList(payload);
                break;
            case NbdOption.Info or NbdOption.Go:
                return TakeInfo(option, InfoRequest.Parse(payload));
            case NbdOption.StructuredReply or NbdOption.ExtendedHeaders:
                TakeForm(option, payload);
                break;
            case NbdOption.ListMetaContext or NbdOption.SetMetaContext:
                TakeContexts(option, MetaContextRequest.Parse(payload));
                break;
            default:
                Refuse(option, OptionReplyType.ErrorUnsupported, $"option {(uint)option} is not known here");
                break;
        }

        return HandshakeStep.Continue;
    }

    private HandshakeStep TakeExportName(ReadOnlySpan<byte> payload)
    {
        // this option can be rejected only by disconnecting
        string name = NbdString.Text("ExportName", 0, payload);
        if (!exports.TryGetValue(name, out var export) || (Refusal = export.Unavailable) is not null)
        {
            return HandshakeStep.Close;
        }

        bool zeroes = (_client & HandshakeFlags.NoZeroes) == 0;
        int size = ExportNameReply.Size + (zeroes ? ExportNameReply.Zeroes : 0);
        var to = _output.GetSpan(size)[..size];
        to.Clear();
        new ExportNameReply((ulong)export.Device.Length, export.FlagsFor(Form, options.MultiConn)).WriteTo(to);
        _output.Advance(size);
        Choose(export);
        return HandshakeStep.Transmission;
    }

    private HandshakeStep TakeStartTls(ReadOnlySpan<byte> payload, bool moreBehind)
    {
        NbdProtocolException.ExpectLength("StartTls", 0, payload.Length);
        if (options.Tls == TlsMode.Off)
        {
            Refuse(NbdOption.StartTls, OptionReplyType.ErrorPolicy, "TLS not configured");
            return HandshakeStep.Continue;
        }

        if (_secured)
        {
            Refuse(NbdOption.StartTls, OptionReplyType.ErrorInvalid, "TLS already enabled");
            return HandshakeStep.Continue;
        }

        // plain bytes after the option may be injected, and would count as the client's own under TLS
        if (moreBehind)
        {
            return HandshakeStep.Close;
        }

        Reply(NbdOption.StartTls, OptionReplyType.Ack, []);
        return HandshakeStep.StartTls;
    }

    private void TakeList(ReadOnlySpan<byte> payload)
    {
        NbdProtocolException.ExpectLength("List", 0, payload.Length);
        foreach (var export in exports.Values)
        {
            Reply(NbdOption.List, OptionReplyType.Server,
                [.. NbdString.ToBytes(export.Name), .. Encoding.UTF8.GetBytes(export.Description)]);
        }

        Reply(NbdOption.List, OptionReplyType.Ack, []);
    }

    private HandshakeStep TakeInfo(NbdOption option, InfoRequest request)
    {
        if (!exports.TryGetValue(request.Name, out var export))
        {
            Refuse(option, OptionReplyType.ErrorUnknown, $"export '{request.Name}' not present");
            return HandshakeStep.Continue;
        }

        if (export.Unavailable is { } why)
        {
            Refuse(option, OptionReplyType.ErrorShutdown, why);
            return HandshakeStep.Continue;
        }

        if (request.Wanted.Contains(InfoType.Name))
        {
            Reply(option, OptionReplyType.Info, [0, (byte)InfoType.Name, .. Encoding.UTF8.GetBytes(export.Name)]);
        }

        if (export.Description.Length > 0 && request.Wanted.Contains(InfoType.Description))
        {
            Reply(option, OptionReplyType.Info, [0, (byte)InfoType.Description, .. Encoding.UTF8.GetBytes(export.Description)]);
        }

        Span<byte> size = stackalloc byte[BlockSizeInfo.Size];
        export.BlockSize.WriteTo(size);
        Reply(option, OptionReplyType.Info, size);
        Span<byte> info = stackalloc byte[ExportInfo.Size];
        new ExportInfo((ulong)export.Device.Length, export.FlagsFor(Form, options.MultiConn)).WriteTo(info);
        Reply(option, OptionReplyType.Info, info);
        Reply(option, OptionReplyType.Ack, []);
        if (option == NbdOption.Info)
        {
            return HandshakeStep.Continue;
        }

        Choose(export);
        return HandshakeStep.Transmission;
    }

    private void TakeForm(NbdOption option, ReadOnlySpan<byte> payload)
    {
        NbdProtocolException.ExpectLength(option.ToString(), 0, payload.Length);
        var form = option == NbdOption.StructuredReply ? HeaderForm.Structured : HeaderForm.Extended;
        if (form > options.Newest)
        {
            Refuse(option, OptionReplyType.ErrorUnsupported, "this is not offered");
            return;
        }

        if (Form >= form)
        {
            var why = Form == form ? OptionReplyType.ErrorInvalid : OptionReplyType.ErrorExtendedHeadersRequired;
            Refuse(option, why, "this was agreed on already");
            return;
        }

        Form = form;
        Reply(option, OptionReplyType.Ack, []);
    }

    private void TakeContexts(NbdOption option, MetaContextRequest request)
    {
        bool isSet = option == NbdOption.SetMetaContext;
        if (isSet)
        {
            _contextsOf = null;
            _contexts.Clear();
            if (Form == HeaderForm.Simple)
            {
                Refuse(option, OptionReplyType.ErrorInvalid, "structured replies come first");
                return;
            }
        }

        if (!exports.TryGetValue(request.Name, out var export))
        {
            Refuse(option, OptionReplyType.ErrorUnknown, $"export '{request.Name}' not present");
            return;
        }

        bool all = !isSet && request.Queries.Length == 0;
        foreach (var (context, id) in export.Contexts)
        {
            if (all || request.Queries.Any(q => isSet ? q == context : MetaContexts.Matches(q, context)))
            {
                Reply(option, OptionReplyType.MetaContext, new MetaContextReply(isSet ? id : 0, context).ToBytes());
                if (isSet)
                {
                    _contexts.Add(id);
                }
            }
        }

        _contextsOf = isSet ? export.Name : _contextsOf;
        Reply(option, OptionReplyType.Ack, []);
    }

    private void Choose(NbdExport export)
    {
        Export = export;
        if (_contextsOf != export.Name)
        {
            _contexts.Clear();
        }
    }

    private void Refuse(NbdOption option, OptionReplyType why, string message)
    {
        Refusal = message;
        Reply(option, why, Encoding.UTF8.GetBytes(message));
    }

    private void Reply(NbdOption option, OptionReplyType type, ReadOnlySpan<byte> payload)
    {
        new OptionReplyHeader(option, type, (uint)payload.Length).WriteTo(_output.GetSpan(OptionReplyHeader.Size));
        _output.Advance(OptionReplyHeader.Size);
        _output.Write(payload);
    }
}
