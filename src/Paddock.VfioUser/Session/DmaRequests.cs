using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Paddock.Posix;
using Paddock.VfioUser.Memory;
using Paddock.VfioUser.Wire;

namespace Paddock.VfioUser.Session;

/// <summary>Requests about the client's memory. A request that fails leaves the memory as it was.</summary>
/// <param name="memory">The memory.</param>
/// <param name="sealedOnly">Whether memory is guarded whose pages the client could remove.</param>
/// <param name="log">Receives warnings.</param>
internal sealed class DmaRequests(DmaTable memory, bool sealedOnly, Action<string> log)
{
    // smaller regions without descriptor are usual: QEMU's own ROMs
    private const ulong LargeRegion = 16UL << 20;

    private const string Advice = "start QEMU with -object memory-backend-memfd,id=m0,size=SIZE,share=on -machine memory-backend=m0";

    private bool _hasWarned;

    /// <summary>Adds a region.</summary>
    /// <exception cref="RequestFailedException">Invalid, overlaps another, or a limit is reached.</exception>
    public void Map(ReadOnlySpan<byte> payload, List<SafeFileHandle> descriptors)
    {
        var map = DmaMap.Parse(payload);
        if (descriptors.Count > 1)
        {
            throw new RequestFailedException(ErrorNumber.Invalid, $"{descriptors.Count} descriptors for one memory region");
        }

        if (memory.Overlaps(map.Address, map.Address + (map.Length - 1)))
        {
            throw new RequestFailedException(
                ErrorNumber.Exists, $"a memory region of {map.Length} bytes at 0x{map.Address:x} overlaps another");
        }

        if (memory.Count >= VfioUserLimits.MaxRegions)
        {
            throw new RequestFailedException(ErrorNumber.NoSpace, $"more than {VfioUserLimits.MaxRegions} memory regions");
        }

        bool maps = descriptors.Count > 0 && memory.Mappings < VfioUserLimits.MaxMappings;
        memory.Add(maps ? MapFile(map, descriptors[0]) : WithoutFile(map));
    }

    /// <summary>Removes a region, or all.</summary>
    /// <exception cref="RequestFailedException">Invalid, or there is no such region.</exception>
    public void Unmap(ReadOnlySpan<byte> payload, Reply reply)
    {
        var unmap = DmaUnmap.Parse(payload);
        if (unmap.Flags == UnmapFlags.All)
        {
            memory.Clear();
        }
        else if (!memory.TryRemove(unmap.Address, unmap.Length))
        {
            throw new RequestFailedException(
                ErrorNumber.NoEntry, $"there is no memory region of {unmap.Length} bytes at 0x{unmap.Address:x}");
        }

        unmap.WriteTo(reply.Payload(DmaUnmap.Size));
    }

    private DmaRegion WithoutFile(in DmaMap map)
    {
        if ((map.Flags & DmaFlags.Writable) != 0 && map.Length >= LargeRegion)
        {
            Warn(map, "has no descriptor: it is accessed with messages, which is slow; " + Advice);
        }

        return new DmaRegion(map, null);
    }

    private DmaRegion MapFile(in DmaMap map, SafeFileHandle file)
    {
        if (map.Length > VfioUserLimits.MaxMapped - memory.MappedBytes)
        {
            throw new RequestFailedException(
                ErrorNumber.NoSpace, $"memory regions of more than {VfioUserLimits.MaxMapped} bytes: the last has {map.Length}");
        }

        SharedMemory shared;
        try
        {
            shared = SharedMemory.Map(
                file, (long)map.FileOffset, (long)map.Length, writable: (map.Flags & DmaFlags.Writable) != 0);
        }
        catch (MappingLimitException e)
        {
            Warn(map, e.Message + ": it is accessed with messages, which is slow");
            return new DmaRegion(map, null);
        }
        catch (IOException e)
        {
            throw new RequestFailedException(ErrorNumber.Invalid, e.Message);
        }

        if (!shared.MayFault || !sealedOnly)
        {
            return new DmaRegion(map, shared);
        }

        if (GuardedCopy.IsAvailable)
        {
            Warn(map, "can lose pages through its owner: each copy is a system call, which is slower; " + Advice);
            return new DmaRegion(map, shared, isGuarded: true);
        }

        shared.Dispose();
        Warn(map, "can lose pages through its owner, which would end this process: it is accessed with messages, which is slow; " + Advice);
        return new DmaRegion(map, null);
    }

    private void Warn(in DmaMap map, string what)
    {
        if (_hasWarned)
        {
            return;
        }

        _hasWarned = true;
        log(string.Create(CultureInfo.InvariantCulture, $"memory of {map.Length} bytes at 0x{map.Address:x} {what}"));
    }
}
