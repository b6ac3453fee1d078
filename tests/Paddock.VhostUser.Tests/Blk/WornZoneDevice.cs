using Paddock.Block;

namespace Paddock.VhostUser.Tests.Blk;

/// <summary>A zoned disk in front of another, one of whose zones has become READ ONLY.</summary>
internal sealed class WornZoneDevice(IBlockDevice inner, int worn) : DelegatingDevice(inner)
{
    public override IZones? Zones => field ??= new WornZones(this, Inner.Zones!, worn);

    private sealed class WornZones(IBlockDevice device, IZones zones, int worn) : DelegatingZones(zones)
    {
        public override async ValueTask<int> ReportAsync(long offset, Memory<ZoneDescriptor> zones, CancellationToken cancellationToken)
        {
            int count = await Inner.ReportAsync(offset, zones, cancellationToken);
            Wear(zones.Span[..count]);
            return count;
        }

        public override ValueTask<ZoneFindings> FindAsync(
            long offset, ZoneConditionSet which, Memory<ZoneDescriptor> zones, bool count, CancellationToken cancellationToken)
            => ZoneWalk.FindAsync(device, offset, which, zones, count, cancellationToken);

        public override ValueTask ManageAsync(ZoneAction action, long offset, long length, CancellationToken cancellationToken)
        {
            long at = worn * Limits.ZoneSize;
            return offset <= at && at < offset + length
                ? throw new ZoneException(ZoneError.ReadOnly, worn, "the zone is read only")
                : Inner.ManageAsync(action, offset, length, cancellationToken);
        }

        private void Wear(Span<ZoneDescriptor> zones)
        {
            foreach (ref var zone in zones)
            {
                if (zone.Start / Limits.ZoneSize == worn)
                {
                    zone = zone with { Condition = ZoneCondition.ReadOnly };
                }
            }
        }
    }
}
