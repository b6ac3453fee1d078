using Paddock.VfioUser.Pci;
using Paddock.VfioUser.Wire;

namespace Paddock.VfioUser.Session;

/// <summary>Requests about the regions of the device: BAR 0 and configuration space.</summary>
/// <param name="function">The device.</param>
internal sealed class RegionRequests(PciFunction function)
{
    /// <summary>Describes a region.</summary>
    /// <exception cref="RequestFailedException">Invalid, or no such region.</exception>
    public void Describe(ReadOnlySpan<byte> payload, Reply reply)
    {
        var (index, room) = RegionInfo.ParseRequest(payload);
        const RegionFlags both = RegionFlags.Read | RegionFlags.Write;
        var info = index switch
        {
            RegionIndex.Bar0 when function.Doorbells is not null => new RegionInfo(
                both, index, function.Layout.Size, Nvme.Pcie.PcieController.DoorbellOffset, function.Layout.DoorbellBytes),
            RegionIndex.Bar0 => new RegionInfo(both, index, function.Layout.Size),
            RegionIndex.Configuration => new RegionInfo(both, index, ConfigurationSpace.Size),
            _ => new RegionInfo(RegionFlags.None, index, 0),
        };
        int length = info.WriteTo(reply.Payload(RegionInfo.FullSize), room);
        reply.Shorten(length);
        if (length == RegionInfo.FullSize)
        {
            reply.Attach(function.Doorbells!.File);
        }
    }

    /// <summary>Reads a region.</summary>
    /// <exception cref="RequestFailedException">Invalid, or outside the region.</exception>
    public void Read(ReadOnlySpan<byte> payload, Reply reply)
    {
        Payload.ExpectSize(Command.RegionRead, RegionAccess.Size, payload.Length);
        var access = Check(RegionAccess.Parse(Command.RegionRead, payload));
        var answer = reply.Payload(RegionAccess.Size + (int)access.Count);
        access.WriteTo(answer);
        var data = answer[RegionAccess.Size..];
        if (access.Region == RegionIndex.Configuration)
        {
            function.ReadConfiguration((int)access.Offset, data);
        }
        else
        {
            function.ReadBar((uint)access.Offset, data);
        }
    }

    /// <summary>Writes a region.</summary>
    /// <exception cref="RequestFailedException">Invalid, or outside the region.</exception>
    public void Write(ReadOnlySpan<byte> payload, Reply reply)
    {
        var access = Check(RegionAccess.Parse(Command.RegionWrite, payload));
        Payload.ExpectSize(Command.RegionWrite, RegionAccess.Size + (int)access.Count, payload.Length);
        Write(access, payload[RegionAccess.Size..]);
        access.WriteTo(reply.Payload(RegionAccess.Size));
    }

    /// <summary>Runs several writes; those before an invalid one have happened.</summary>
    /// <exception cref="RequestFailedException">Invalid, or outside the region.</exception>
    public void WriteMultiple(ReadOnlySpan<byte> payload, Reply reply)
    {
        int count = RegionWrites.ParseCount(payload);
        for (int i = 0; i < count; i++)
        {
            var access = Check(RegionWrites.ParseEntry(payload, i, out var data));
            Write(access, data);
        }

        RegionWrites.WriteCount(reply.Payload(RegionWrites.Size), count);
    }

    private void Write(in RegionAccess access, ReadOnlySpan<byte> data)
    {
        if (access.Region == RegionIndex.Configuration)
        {
            function.WriteConfiguration((int)access.Offset, data);
        }
        else
        {
            function.WriteBar((uint)access.Offset, data);
        }
    }

    private RegionAccess Check(in RegionAccess access)
    {
        // all accesses fit a message: the longest region that is read at once is configuration space
        const uint longest = ConfigurationSpace.Size;
        uint size = access.Region switch
        {
            RegionIndex.Bar0 => function.Layout.Size,
            RegionIndex.Configuration => ConfigurationSpace.Size,
            _ => 0,
        };
        return access.Count is > 0 and <= longest && access.Offset < size && access.Count <= size - access.Offset
            ? access
            : throw new RequestFailedException(
                ErrorNumber.Invalid,
                $"an access of {access.Count} bytes at 0x{access.Offset:x} of region {access.Region}, which has {size}; "
                + $"expected 1 to {longest}");
    }
}
