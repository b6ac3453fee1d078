using Paddock.Block;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Host;

/// <summary>The server answered Connect with a failure.</summary>
internal sealed class ConnectRejectedException : BlockException
{
    // IATTR: the offset is in the data of the command (NVMe base 2.0, figure 388)
    private const ulong InData = 1 << 16, FieldMask = 0x1FFFF;

    private ConnectRejectedException(string message, NvmeStatus status, bool isUnknownSubsystem)
        : base(BlockError.Io, message)
    {
        Status = status;
        IsUnknownSubsystem = isUnknownSubsystem;
    }

    /// <summary>How Connect ended.</summary>
    public NvmeStatus Status { get; }

    /// <summary>Whether the server has no subsystem of that name.</summary>
    public bool IsUnknownSubsystem { get; }

    /// <summary>The failure of a completion, in words.</summary>
    public static ConnectRejectedException Of(in CompletionEntry answer, NvmeTcpHostOptions options)
    {
        string where = $"{options.Host}:{options.Port}", subsystem = $"subsystem '{options.SubsystemNqn}'";
        bool isUnknown = answer.Status == NvmeStatus.ConnectInvalidParameters
            && (answer.Result & FieldMask) == (InData | ConnectData.SubsystemField);
        string message = answer.Status switch
        {
            _ when isUnknown => $"there is no {subsystem} at {where}",
            NvmeStatus.ConnectInvalidHost => $"{subsystem} at {where} does not admit host '{options.HostNqn}'",
            NvmeStatus.ConnectControllerBusy => $"{subsystem} at {where} has no free controller: too many hosts are connected",
            NvmeStatus.ConnectInvalidParameters =>
                $"{subsystem} at {where} rejects a parameter of Connect ({answer.Result & FieldMask:x}h)",
            _ => $"{subsystem} at {where} cannot be connected: the controller reports {answer.Status} ({(int)answer.Status:x3}h)",
        };
        return new ConnectRejectedException(message, answer.Status, isUnknown);
    }
}
