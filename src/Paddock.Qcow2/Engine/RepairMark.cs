using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>
/// Marks an image dirty while a change is made that no single write can complete: counts and COPIED flags of many tables. Whoever
/// opens the image for writing after a crash repairs it first. Version 2 has no such mark. Under the image's metadata mutex.
/// </summary>
internal sealed class RepairMark(ImageHeader header)
{
    private bool _isOurs, _ofSnapshots, _ofCopies;

    /// <summary>A change was left half-finished: the mark stays when the image is closed, so that the next opening repairs it.</summary>
    public bool Stays { get; private set; }

    /// <summary>Sets the mark, durably, for a change of snapshots.</summary>
    public ValueTask SetAsync()
    {
        _ofSnapshots = true;
        return SetHeaderAsync();
    }

    /// <summary>Removes the mark: everything that a change of snapshots changed is durable, and consistent.</summary>
    public ValueTask ClearAsync()
    {
        _ofSnapshots = false;
        return ClearHeaderAsync();
    }

    /// <summary>Sets the mark, durably, for clusters that two guest clusters share.</summary>
    public ValueTask SetForCopyAsync()
    {
        _ofCopies = true;
        return SetHeaderAsync();
    }

    /// <summary>Removes the mark of <see cref="SetForCopyAsync"/>.</summary>
    public ValueTask ClearForCopyAsync()
    {
        _ofCopies = false;
        return ClearHeaderAsync();
    }

    /// <summary>The change has failed half-way.</summary>
    public void Keep() => Stays = true;

    private async ValueTask SetHeaderAsync()
    {
        if (header.HasVersion3 && !header.Has(IncompatibleFeatures.Dirty))
        {
            await header.PutAsync(header.Fields with { Incompatible = header.Fields.Incompatible | IncompatibleFeatures.Dirty });
            _isOurs = true;
        }
    }

    private async ValueTask ClearHeaderAsync()
    {
        if (_isOurs && !Stays && !_ofSnapshots && !_ofCopies)
        {
            await header.PutAsync(header.Fields with { Incompatible = header.Fields.Incompatible & ~IncompatibleFeatures.Dirty });
            _isOurs = false;
        }
    }
}
