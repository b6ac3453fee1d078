using Paddock.Nbd.Wire;

namespace Paddock.Nbd.Server;

/// <summary>Validates requests against the protocol and the export; later code trusts a request that passes.</summary>
internal static class RequestCheck
{
    /// <summary>Length of the payload after a request's header, in bytes.</summary>
    /// <exception cref="NbdProtocolException">The payload is too long to be skipped.</exception>
    public static int PayloadOf(in NbdRequest request, HeaderForm form)
    {
        bool marked = (request.Flags & CommandFlags.PayloadLength) != 0;
        bool isWrite = request.Command == NbdCommand.Write;
        if (form == HeaderForm.Extended ? !marked && !isWrite : !isWrite)
        {
            return 0;
        }

        // a write should set PAYLOAD_LEN, but QEMU's client does not
        int limit = isWrite ? NbdLimits.MaxPayload : NbdLimits.MaxOptionPayload;
        return request.Length <= (ulong)limit
            ? (int)request.Length
            : throw new NbdProtocolException(nameof(NbdRequest), 24, $"a payload of {request.Length} bytes is longer than {limit}");
    }

    /// <summary>Whether a request may go to the device.</summary>
    /// <returns>The error; <see cref="NbdError.None"/> if the request is valid.</returns>
    public static NbdError Check(in NbdRequest request, NbdExport export, HeaderForm form, bool hasContexts, out string message)
    {
        var known = CommandFlags.Fua | request.Command switch
        {
            NbdCommand.Read => form == HeaderForm.Simple ? 0 : CommandFlags.DontFragment,
            NbdCommand.WriteZeroes => CommandFlags.NoHole | CommandFlags.FastZero,
            NbdCommand.BlockStatus => CommandFlags.RequestOne,
            _ => 0,
        };
        if (form == HeaderForm.Extended && request.Command is NbdCommand.Write or NbdCommand.BlockStatus)
        {
            known |= CommandFlags.PayloadLength;
        }

        if ((request.Flags & ~known) != 0)
        {
            message = $"flags 0x{(ushort)request.Flags:x} do not go with command {(ushort)request.Command}";
            return NbdError.Invalid;
        }

        if (request.Command is NbdCommand.Flush or NbdCommand.Disconnect)
        {
            message = "";
            return NbdError.None;
        }

        if (request.Command == NbdCommand.Resize && export.OffersResize)
        {
            return CheckResize(request, export, out message);
        }

        if (request.Command > NbdCommand.BlockStatus
            || (request.Command == NbdCommand.BlockStatus && (!hasContexts || request.Length == 0)))
        {
            message = request.Command == NbdCommand.BlockStatus
                ? "block status needs a context and a length" : $"command {(ushort)request.Command} is not offered";
            return NbdError.Invalid;
        }

        bool changes = request.Command is NbdCommand.Write or NbdCommand.Trim or NbdCommand.WriteZeroes;
        if (changes && export.IsReadOnly)
        {
            message = "the export is read-only";
            return NbdError.NotPermitted;
        }

        ulong size = (ulong)export.Device.Length;
        if (request.Offset > size || request.Length > size - request.Offset)
        {
            message = $"offset {request.Offset}, length {request.Length}: outside the export of {size} bytes";
            return Outside(request.Command);
        }

        message = request.Command == NbdCommand.Read && request.Length > NbdLimits.MaxPayload
            ? $"a read of {request.Length} bytes is longer than {NbdLimits.MaxPayload}" : "";
        return message.Length == 0 ? NbdError.None : NbdError.Invalid;
    }

    /// <summary>Error for a request outside the export (protocol, "Request types").</summary>
    public static NbdError Outside(NbdCommand command)
        => command is NbdCommand.Write or NbdCommand.WriteZeroes ? NbdError.NoSpace : NbdError.Invalid;

    // the offset carries the new size, because the length has only 32 bits without extended headers
    private static NbdError CheckResize(in NbdRequest request, NbdExport export, out string message)
    {
        uint unit = Math.Max(NbdLimits.SizeUnit, export.BlockSize.Minimum);
        (var error, message) = export.IsReadOnly ? (NbdError.NotPermitted, "the export is read-only")
            : request.Length != 0 ? (NbdError.Invalid, $"a resize has its size in the offset, and a length of 0, not {request.Length}")
            : request.Offset > long.MaxValue ? (NbdError.Overflow, $"a size of {request.Offset} bytes is more than 2^63 - 1")
            : request.Offset == 0 || request.Offset % unit != 0
                ? (NbdError.Invalid, $"a size of {request.Offset} bytes: it must be a multiple of {unit}, and not 0") : (NbdError.None, "");
        return error;
    }
}
