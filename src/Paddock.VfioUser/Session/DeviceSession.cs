using Microsoft.Win32.SafeHandles;
using Paddock.VfioUser.Pci;
using Paddock.VfioUser.Wire;

namespace Paddock.VfioUser.Session;

/// <summary>Requests of one client. All calls come from the message thread; none waits for a disk or for the client.</summary>
/// <param name="function">The device.</param>
/// <param name="dma">Requests about memory.</param>
/// <param name="messages">DMA messages.</param>
internal sealed class DeviceSession(PciFunction function, DmaRequests dma, DmaMessages messages)
{
    private static readonly Capabilities Offered = new()
    {
        MaxDescriptors = VfioUserLimits.MaxDescriptors,
        MaxTransfer = VfioUserLimits.MaxTransfer,
        MaxDmaMaps = VfioUserLimits.MaxRegions,
        PageSizes = 4096,
        WriteMultiple = true,
    };

    private readonly RegionRequests _regions = new(function);
    private bool _agreed;

    /// <summary>Whether versions have been agreed on; may be read on any thread.</summary>
    public bool HasAgreed => Volatile.Read(ref _agreed);

    /// <summary>Runs a request.</summary>
    /// <param name="command">The command.</param>
    /// <param name="payload">Its payload.</param>
    /// <param name="descriptors">Its descriptors; those that are used are removed.</param>
    /// <param name="reply">The reply.</param>
    /// <exception cref="RequestFailedException">Rejected; the reply reports the error.</exception>
    /// <exception cref="VfioUserException">The connection cannot be used further.</exception>
    public void Run(Command command, ReadOnlySpan<byte> payload, List<SafeFileHandle> descriptors, Reply reply)
    {
        reply.Begin();
        if (!_agreed && command != Command.Version)
        {
            throw new VfioUserException(
                $"the first message has command {(ushort)command}: expected {(ushort)Command.Version}, the version");
        }

        switch (command)
        {
            case Command.RegionWrite:
                _regions.Write(payload, reply);
                break;
            case Command.RegionRead:
                _regions.Read(payload, reply);
                break;
            case Command.RegionWriteMulti:
                _regions.WriteMultiple(payload, reply);
                break;
            case Command.DmaMap:
                dma.Map(payload, descriptors);
                break;
            case Command.DmaUnmap:
                dma.Unmap(payload, reply);
                break;
            case Command.SetIrqs:
                SetIrqs(payload, descriptors);
                break;
            case Command.Version:
                Agree(payload, reply);
                break;
            case Command.GetInfo:
                DeviceInfo.CheckRequest(payload);
                new DeviceInfo(DeviceFlags.Reset | DeviceFlags.Pci, RegionIndex.Count, IrqIndex.Count)
                    .WriteTo(reply.Payload(DeviceInfo.Size));
                break;
            case Command.GetRegionInfo:
                _regions.Describe(payload, reply);
                break;
            case Command.GetIrqInfo:
                function.Interrupts.Describe(IrqInfo.ParseRequest(payload)).WriteTo(reply.Payload(IrqInfo.Size));
                break;
            case Command.Reset:
                Payload.ExpectSize(Command.Reset, 0, payload.Length);
                function.Reset();
                break;
            default:
                // descriptors for region accesses, migration and dirty pages are optional, and not offered
                throw new RequestFailedException(ErrorNumber.NotSupported, $"command {(ushort)command} is not supported");
        }
    }

    private void Agree(ReadOnlySpan<byte> payload, Reply reply)
    {
        if (_agreed)
        {
            throw new RequestFailedException(ErrorNumber.Invalid, "a second version message");
        }

        var proposed = VersionMessage.Parse(payload);
        if (proposed.Major != VersionMessage.CurrentMajor)
        {
            throw new VfioUserException(
                $"version {proposed.Major}.{proposed.Minor} is not supported: expected {VersionMessage.CurrentMajor}.x");
        }

        if (proposed.Capabilities.MaxTransfer is { } most)
        {
            messages.SetMaxTransfer(most >= VfioUserLimits.LeastTransfer
                ? (int)Math.Min(most, VfioUserLimits.MaxTransfer)
                : throw new VfioUserException($"max_data_xfer_size {most}: expected at least {VfioUserLimits.LeastTransfer}"));
        }

        byte[] answer = new VersionMessage(
            VersionMessage.CurrentMajor, Math.Min(proposed.Minor, VersionMessage.CurrentMinor), Offered.Among(proposed.Capabilities))
            .ToBytes();
        answer.CopyTo(reply.Payload(answer.Length));
        Volatile.Write(ref _agreed, true);
    }

    private void SetIrqs(ReadOnlySpan<byte> payload, List<SafeFileHandle> descriptors)
    {
        var set = IrqSet.Parse(payload);
        function.Interrupts.Apply(set, payload[IrqSet.Size..], descriptors);
        if (set.Action == IrqSetFlags.Unmask)
        {
            function.Controller.SettlePin();
        }
    }
}
