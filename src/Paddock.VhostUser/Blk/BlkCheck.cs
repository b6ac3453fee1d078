namespace Paddock.VhostUser.Blk;

/// <summary>Validates a request before it runs: type, offset and length are then valid for the disk.</summary>
internal static class BlkCheck
{
    /// <summary>Checks a request.</summary>
    public static RequestStatus Check(BlkJob job)
    {
        bool onZones = job.Device.Zones is not null;
        ulong sectors = (ulong)job.Device.Device.Length >> BlkLimits.SectorShift;
        bool inside = job.Sector < sectors;
        return job.Type switch
        {
            RequestType.In => CheckTransfer(job, sectors),
            RequestType.Out => job.Device.Device.IsReadOnly ? RequestStatus.IoError : CheckWrite(job, sectors),
            RequestType.Flush or RequestType.GetId => RequestStatus.Ok,
            RequestType.Discard => (job.Device.Features & BlkFeatures.Discard) != 0 ? CheckRanges(job) : RequestStatus.Unsupported,
            RequestType.WriteZeroes => (job.Device.Features & BlkFeatures.WriteZeroes) != 0 ? CheckRanges(job) : RequestStatus.Unsupported,
            RequestType.ZoneAppend when onZones => inside ? CheckAppend(job) : RequestStatus.ZoneInvalid,
            RequestType.ZoneReport when onZones
                => inside && job.Length >= ZoneReport.HeaderSize + ZoneReport.ZoneSize ? RequestStatus.Ok : RequestStatus.ZoneInvalid,
            RequestType.ZoneOpen or RequestType.ZoneClose or RequestType.ZoneFinish or RequestType.ZoneReset when onZones
                => inside ? RequestStatus.Ok : RequestStatus.ZoneInvalid,
            RequestType.ZoneResetAll when onZones => RequestStatus.Ok,
            _ => RequestStatus.Unsupported,
        };
    }

    private static RequestStatus CheckTransfer(BlkJob job, ulong sectors)
        => job.Length > 0 && job.Length % BlkLimits.Sector == 0 && job.Sector <= sectors
            && (ulong)(job.Length >> BlkLimits.SectorShift) <= sectors - job.Sector ? RequestStatus.Ok : RequestStatus.IoError;

    // a write in parts is checked as a whole: otherwise its first parts would be written before the last is rejected
    private static RequestStatus CheckWrite(BlkJob job, ulong sectors)
    {
        var status = CheckTransfer(job, sectors);
        bool isParted = job.Length > Math.Min(job.Device.Device.Limits.MaxTransfer, job.Device.LongestGathered);
        return status == RequestStatus.Ok && isParted && job.Device.Zones?.Limits is { } zones
            && job.Offset >= zones.ConventionalZones * zones.ZoneSize && (job.Offset % zones.ZoneSize) + job.Length > zones.ZoneCapacity
            ? RequestStatus.ZoneInvalid : status;
    }

    private static RequestStatus CheckRanges(BlkJob job)
        => job.Length > 0 && job.Length % BlkRange.Size == 0 && job.Length <= BlkLimits.Ranges * BlkRange.Size
            ? RequestStatus.Ok : RequestStatus.IoError;

    private static RequestStatus CheckAppend(BlkJob job)
    {
        var device = job.Device;
        return job.Chain.WritableBytes < sizeof(ulong) + BlkJob.StatusSize ? RequestStatus.ZoneInvalid
            : job.Length == 0 || job.Length % device.BlockSize != 0 ? RequestStatus.ZoneUnaligned
            : job.Length >> BlkLimits.SectorShift > BlkConfig.AppendSectors(device.Zones!.Limits, device.BlockSize, device.LongestGathered)
                ? RequestStatus.ZoneInvalid
            : RequestStatus.Ok;
    }
}
