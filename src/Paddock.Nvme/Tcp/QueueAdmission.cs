using Paddock.Nvme.Auth;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Tcp;

/// <summary>
/// Which queue of which controller a connection is, and which commands it may run now. Changed by the receiving thread and by
/// authentication; may be read from any thread.
/// </summary>
internal sealed class QueueAdmission
{
    private volatile Controller? _controller;
    private volatile bool _joined;

    /// <summary>The controller; null before Connect.</summary>
    public Controller? Controller => _controller;

    /// <summary>The number of the queue; 0 is the admin queue.</summary>
    public ushort Queue { get; private set; }

    /// <summary>Whether the host uses no flow control: data can be its own completion, and completions carry no queue head.</summary>
    public bool IsFlowControlOff { get; private set; }

    /// <summary>The queue's authentication; null where none is required.</summary>
    public QueueAuthentication? Authentication { get; private set; }

    /// <summary>Milliseconds for which an authentication of the queue has been due or running; 0 when none is.</summary>
    public long AuthenticatingMilliseconds => _controller is null ? 0 : Authentication?.WaitingMilliseconds ?? 0;

    /// <summary>Whether the queue belongs to the controller: the host has connected it, and authenticated it where required.</summary>
    /// <remarks>An authenticated queue whose number another connection has taken does not.</remarks>
    public bool IsAdmitted
        => _controller is not null && (Authentication is not { } authentication || (_joined && authentication.IsAuthenticated));

    /// <summary>The host has connected the queue.</summary>
    public void Connect(Controller controller, ushort queue, bool isFlowControlOff, QueueAuthentication? authentication)
    {
        Queue = queue;
        IsFlowControlOff = isFlowControlOff;
        Authentication = authentication;
        _controller = controller;
    }

    /// <summary>The controller has taken the authenticated queue.</summary>
    public void Join() => _joined = true;

    /// <summary>Why a command may not run on this queue now; null when it may.</summary>
    /// <remarks>
    /// Checked twice: when the command is received, before its data is requested, and when it starts. The host can delay the data for as
    /// long as it likes; in between the queue can be connected, or lose its authentication.
    /// </remarks>
    public NvmeStatus? RefusalOf(in SubmissionEntry entry)
    {
        if (_controller is null)
        {
            return !IsConnect(entry) ? NvmeStatus.CommandSequence
                : entry.DataLength != ConnectData.Size ? NvmeStatus.SglLengthInvalid : null;
        }

        if (!IsAuthentication(entry))
        {
            return IsAdmitted ? null : NvmeStatus.AuthenticationRequired;
        }

        if (Authentication is null)
        {
            return NvmeStatus.InvalidOpcode;
        }

        return entry.Dword10 == AuthHeader.CommandProtocol && entry.Dword11 == entry.DataLength && entry.DataLength is > 0
            and <= AuthHeader.MaxMessage
            ? null : NvmeStatus.InvalidField;
    }

    /// <summary>Whether a command is Connect.</summary>
    public static bool IsConnect(in SubmissionEntry entry) => entry is { Opcode: Opcode.Fabrics, FabricsType: FabricsType.Connect };

    /// <summary>Whether a command carries a message of an authentication.</summary>
    public static bool IsAuthentication(in SubmissionEntry entry)
        => entry is { Opcode: Opcode.Fabrics, FabricsType: FabricsType.AuthenticationSend or FabricsType.AuthenticationReceive };
}
