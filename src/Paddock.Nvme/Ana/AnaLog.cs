using System.Buffers.Binary;
using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Ana;

/// <summary>Asymmetric Namespace Access, log 0Ch (NVMe base 2.0, 5.16.1.13).</summary>
/// <remarks>
/// <code>
/// 0   8  change count: of the whole log, so that a host that reads it in parts sees whether they belong together
/// 8   2  number of group descriptors
/// 10  6  reserved
/// 16     descriptors of the groups with namespaces attached to the controller, ascending (<see cref="AnaGroupDescriptor"/>)
/// </code>
/// </remarks>
internal static class AnaLog
{
    /// <summary>Log identifier.</summary>
    public const byte Id = 0x0C;

    /// <summary>Bytes before the descriptors.</summary>
    public const int HeaderSize = 16;

    /// <summary>Bit 0 of LSP (RGO): descriptors without namespaces are requested.</summary>
    public const byte GroupsOnly = 1;

    private const int CountField = 8;

    /// <summary>The page of a controller.</summary>
    /// <param name="controller">The controller.</param>
    /// <param name="groupsOnly">Whether descriptors have no namespaces.</param>
    /// <param name="forgetsEvent">Whether a change may be reported again.</param>
    public static byte[] Of(Controller controller, bool groupsOnly, bool forgetsEvent)
    {
        // a change after this is reported again, so that none is missed
        if (forgetsEvent)
        {
            controller.Events.ForgetAccess();
        }

        var groups = controller.Attached.All.Where(static ns => ns.AnaGroup is not null).GroupBy(static ns => ns.AnaGroup!);
        return Build([.. groups.OrderBy(static g => g.Key.Id).Select(
            g => new AnaGroupDescriptor(g.Key.Id, g.Key.State, g.Key.Changes, groupsOnly ? [] : [.. g.Select(static ns => ns.Id)]))]);
    }

    /// <summary>Builds a page.</summary>
    public static byte[] Build(IReadOnlyList<AnaGroupDescriptor> groups)
    {
        var page = new byte[HeaderSize + groups.Sum(static g => g.Size)];
        var f = new Fields(page);
        f.U64(0, groups.Aggregate(0UL, static (sum, g) => sum + g.Changes));
        f.U16(CountField, (ushort)groups.Count);
        int at = HeaderSize;
        foreach (var group in groups)
        {
            group.WriteTo(page.AsSpan(at));
            at += group.Size;
        }

        return page;
    }

    /// <summary>Reads a page; null if it is not valid.</summary>
    public static IReadOnlyList<AnaGroupDescriptor>? Read(ReadOnlySpan<byte> page)
    {
        if (page.Length < HeaderSize)
        {
            return null;
        }

        var groups = new List<AnaGroupDescriptor>();
        int count = BinaryPrimitives.ReadUInt16LittleEndian(page[CountField..]);
        for (int at = HeaderSize; count > 0; count--)
        {
            if (AnaGroupDescriptor.Read(page[at..]) is not { } group)
            {
                return null;
            }

            groups.Add(group);
            at += group.Size;
        }

        return groups;
    }
}
