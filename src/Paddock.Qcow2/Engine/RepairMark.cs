using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Marks an image dirty while a change is made that no single write can complete: counts and COPIED flags of many tables. Whoever
/// opens the image for writing after a crash repairs it first. Version 2 has no such mark. Under the image's metadata mutex.
/// </summary>
internal sealed class RepairMark(ImageHeader header)
{
    private bool _isOurs;

    /// <summary>A change was left half-finished: the mark stays when the image is closed, so that the next opening repairs it.</summary>
    public bool Stays { get; private set; }

    /// <summary>Sets the mark, durably.</summary>
    public async ValueTask SetAsync()
    {
        if (header.HasVersion3 && !header.Has(IncompatibleFeatures.Dirty))
        {
            await header.PutAsync(header.Fields with { Incompatible = header.Fields.Incompatible | IncompatibleFeatures.Dirty });
            _isOurs = true;
        }
    }

    /// <summary>Removes the mark: everything that was changed is durable, and consistent.</summary>
    public async ValueTask ClearAsync()
    {
        if (_isOurs && !Stays)
        {
            await header.PutAsync(header.Fields with { Incompatible = header.Fields.Incompatible & ~IncompatibleFeatures.Dirty });
            _isOurs = false;
        }
    }

    /// <summary>The change has failed half-way.</summary>
    public void Keep() => Stays = true;
}
