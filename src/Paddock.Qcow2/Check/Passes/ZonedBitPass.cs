namespace Paddock.Qcow2.Check.Passes;

/// <summary>
/// Checks that incompatible feature bit 5 agrees with the zoned extension, and reports an extension of unknown layout (zoned-qcow2.md 1.1
/// and 1.2). Its lines are Paddock's own: QEMU has no such check.
/// </summary>
internal sealed class ZonedBitPass(CheckContext context) : ICheckPass
{
    private const ulong ZonedBit = 1UL << 5;

    public async ValueTask RunAsync(CancellationToken cancellationToken)
    {
        var image = context.Image;
        if (context.ZoneProblem is { } problem)
        {
            context.ReportCorruption($"ERROR zoned extension {problem}; leaked clusters are kept, since the zone table may be among them");
        }

        bool isSet = (image.Incompatible & ZonedBit) != 0;
        bool wanted = context.Zones is not null;
        if (wanted && !image.IsVersion3)
        {
            context.ReportCorruption("ERROR zoned extension in a version 2 image; zoned images are version 3");
            return;
        }

        if (isSet == wanted || context.ZoneProblem is not null)
        {
            return;
        }

        context.ReportRepair(
            $"incompatible feature bit 5 (zoned format) is {(isSet ? "set" : "clear")}, " +
            $"but the image has {(wanted ? "a" : "no")} zoned extension",
            context.FixesErrors);
        if (context.FixesErrors)
        {
            await image.WriteIncompatibleAsync(image.Incompatible ^ ZonedBit, cancellationToken);
        }
    }
}
