namespace Paddock.Qcow2.Zoned;

/// <summary>Joins the zone state machine to an image.</summary>
internal static class ZonedImage
{
    public static ValueTask<IQcow2Device> AttachAsync(Qcow2Image image, CancellationToken cancellationToken)
        => ValueTask.FromResult<IQcow2Device>(image);
}
