using Paddock.Block;

namespace Paddock.Images.Copying;

/// <summary>A zoned target: every zone is written from its start, zeroes before data included.</summary>
internal sealed class ZoneSink : ICopySink
{
    private const int Sector = 512, ZeroPiece = 1 << 20;

    private readonly IBlockDevice _target;
    private readonly ZonePlan _plan;
    private readonly CopyOptions _options;
    private readonly List<int> _partlyFilled = [];
    private readonly uint _maxActive;
    private byte[] _zeroes = [];
    private int _active;
    private int _finished;
    private int _zone = -1;
    private long _pointer;

    public ZoneSink(IBlockDevice target, ZonePlan plan, CopyOptions options)
    {
        _target = target;
        _plan = plan;
        _options = options;
        _maxActive = target.Zones!.Limits.MaxActiveZones;
        _active = plan.OthersActive;
        Unit = Math.Max(Sector, target.Limits.RequestAlignment);
        ZeroBlock = options.SparseBytes == 0 ? 0 : (options.SparseBytes + Unit - 1) / Unit * Unit;
    }

    public int ZeroBlock { get; }

    public int Unit { get; }

    public async ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        if (data.Length % Unit != 0)
        {
            // the source ends within a block: the rest of it is zero
            byte[] padded = new byte[(data.Length + Unit - 1) / Unit * Unit];
            data.CopyTo(padded);
            data = padded;
        }

        while (data.Length > 0)
        {
            var zone = await EnterAsync(offset, cancellationToken);
            int count = (int)Math.Min(data.Length, zone.Start + zone.Length - offset);
            count = Math.Min(count, Math.Max(Unit, _target.Limits.MaxTransfer / Unit * Unit));
            int taken = ZonePlan.IsSequential(zone) ? await AdvanceAsync(zone, offset, count, cancellationToken) : count;
            if (taken > 0)
            {
                await _target.WriteAsync(offset, data[..taken], WriteFlags.None, cancellationToken);
                Moved(zone, offset + taken);
            }

            offset += count;
            data = data[count..];
        }
    }

    public async ValueTask ZeroAsync(long offset, long length, CancellationToken cancellationToken)
    {
        for (long end = offset + length; offset < end;)
        {
            var zone = await EnterAsync(offset, cancellationToken);
            long stop = Math.Min(end, zone.Start + zone.Length);
            if (!ZonePlan.IsSequential(zone))
            {
                await ZeroConventionalAsync(offset, stop - offset, cancellationToken);
            }
            else if (_options.SparseBytes == 0)
            {
                await FillAsync(zone, Math.Min(stop, DataEnd(zone)), cancellationToken);
            }

            offset = stop;
        }
    }

    /// <summary>Completes the last zone.</summary>
    public async ValueTask EndAsync(CancellationToken cancellationToken)
    {
        await LeaveAsync(cancellationToken);
        await SetOfflineAsync(cancellationToken);
        if (_finished > 0)
        {
            _options.Warn?.Invoke(
                $"{_finished} partly filled zones were finished and are full: the target takes {_maxActive} active zones at most");
        }
    }

    private async ValueTask<ZoneDescriptor> EnterAsync(long offset, CancellationToken cancellationToken)
    {
        int index = (int)(offset / _target.Zones!.Limits.ZoneSize);
        if (index != _zone)
        {
            await LeaveAsync(cancellationToken);
            _zone = index;
            _pointer = _plan.Target[index].Start;
            await CopyExtensionAsync(index, cancellationToken);
        }

        return _plan.Target[index];
    }

    // zeroes before the data first; returns how many bytes may be written
    private async ValueTask<int> AdvanceAsync(ZoneDescriptor zone, long offset, int count, CancellationToken cancellationToken)
    {
        long end = zone.Start + zone.Capacity;
        if (offset + count > end)
        {
            throw new BlockException(
                BlockError.InvalidArgument,
                $"the source has data at {Math.Max(offset, end)}, where zone {_zone} of the target cannot hold any: of its {zone.Length} "
                    + "bytes "
                + $"the first {zone.Capacity} can be written");
        }

        // a served source may have grown since its zones were read
        count = (int)Math.Clamp(DataEnd(zone) - offset, 0, count);
        if (count > 0)
        {
            await FillAsync(zone, offset, cancellationToken);
            await TakeResourceAsync(zone, cancellationToken);
        }

        return count;
    }

    // where data of the source may end in this zone
    private long DataEnd(in ZoneDescriptor zone)
    {
        long end = zone.Start + zone.Capacity;
        return _plan.Source is { } source && _zone < source.Length && source[_zone].Condition != ZoneCondition.Full
            && source[_zone].WritePointer >= zone.Start
            ? Math.Min(end, source[_zone].WritePointer) : end;
    }

    private async ValueTask FillAsync(ZoneDescriptor zone, long upTo, CancellationToken cancellationToken)
    {
        if (_pointer >= upTo)
        {
            return;
        }

        await TakeResourceAsync(zone, cancellationToken);
        if (_options.SparseBytes != 0 && await TryZeroAsync(upTo, cancellationToken))
        {
            Moved(zone, upTo);
            return;
        }

        _zeroes = _zeroes.Length > 0 ? _zeroes : new byte[ZeroPiece];
        while (_pointer < upTo)
        {
            int count = (int)Math.Min(Math.Min(ZeroPiece, _target.Limits.MaxTransfer / Unit * Unit), upTo - _pointer);
            await _target.WriteAsync(_pointer, _zeroes.AsMemory(0, count), WriteFlags.None, cancellationToken);
            Moved(zone, _pointer + count);
        }
    }

    private async ValueTask<bool> TryZeroAsync(long upTo, CancellationToken cancellationToken)
    {
        try
        {
            await _target.WriteZeroesAsync(_pointer, upTo - _pointer, ZeroFlags.MayUnmap, cancellationToken);
            return true;
        }
        catch (BlockException e) when (e.Error == BlockError.NotSupported)
        {
            return false;
        }
    }

    private void Moved(in ZoneDescriptor zone, long pointer)
    {
        _pointer = pointer;
        if (ZonePlan.IsSequential(zone) && pointer == zone.Start + zone.Capacity)
        {
            // full: its resources are free
            Release();
        }
    }

    // the first write to a zone takes an active resource; from a source without pointers, partly filled zones may be finished for it
    private async ValueTask TakeResourceAsync(ZoneDescriptor zone, CancellationToken cancellationToken)
    {
        if (_pointer != zone.Start || _partlyFilled.Count > 0 && _partlyFilled[^1] == _zone)
        {
            return;
        }

        if (_maxActive != 0 && _active >= _maxActive && _plan.Source is null && _partlyFilled.Count > 0)
        {
            var last = _plan.Target[_partlyFilled[^1]];
            await _target.Zones!.ManageAsync(ZoneAction.Finish, last.Start, last.Length, cancellationToken);
            _partlyFilled.RemoveAt(_partlyFilled.Count - 1);
            _active--;
            _finished++;
        }

        _partlyFilled.Add(_zone);
        _active++;
    }

    private void Release()
    {
        if (_partlyFilled.Count > 0 && _partlyFilled[^1] == _zone)
        {
            _partlyFilled.RemoveAt(_partlyFilled.Count - 1);
            _active--;
        }
    }

    private async ValueTask ZeroConventionalAsync(long offset, long length, CancellationToken cancellationToken)
    {
        if (_options.SparseBytes == 0)
        {
            _zeroes = _zeroes.Length > 0 ? _zeroes : new byte[ZeroPiece];
            for (long done = 0; done < length;)
            {
                int count = (int)Math.Min(ZeroPiece, length - done);
                await _target.WriteAsync(offset + done, _zeroes.AsMemory(0, count), WriteFlags.None, cancellationToken);
                done += count;
            }
        }
        else if (!_options.TargetIsZero)
        {
            await _target.WriteZeroesAsync(offset, length, ZeroFlags.MayUnmap, cancellationToken);
        }
    }

    private async ValueTask LeaveAsync(CancellationToken cancellationToken)
    {
        if (_zone < 0)
        {
            return;
        }

        var zone = _plan.Target[_zone];
        var wanted = _plan.Source is { } source && _zone < source.Length ? source[_zone] : default;
        if (ZonePlan.IsSequential(zone))
        {
            if (_plan.Source is not null && wanted.Condition is not (ZoneCondition.Full or ZoneCondition.Empty))
            {
                long end = DataEnd(zone);
                await FillAsync(zone, wanted.WritePointer < zone.Start ? _pointer : end, cancellationToken);
            }

            bool isFull = _pointer == zone.Start + zone.Capacity;
            if (wanted.Condition == ZoneCondition.Full && !isFull)
            {
                await _target.Zones!.ManageAsync(ZoneAction.Finish, zone.Start, zone.Length, cancellationToken);
                Release();
            }
            else if (_pointer > zone.Start && !isFull)
            {
                await _target.Zones!.ManageAsync(ZoneAction.Close, zone.Start, zone.Length, cancellationToken);
            }
        }

        if (wanted.Condition == ZoneCondition.ReadOnly && _target.Zones!.Attributes is { } attributes)
        {
            await attributes.SetConditionAsync(_zone, ZoneCondition.ReadOnly, cancellationToken);
            Release();
        }
    }

    private async ValueTask CopyExtensionAsync(int zone, CancellationToken cancellationToken)
    {
        if (_plan.SourceAttributes is { } from && _plan.Source is { } source && zone < source.Length && from.HasExtension(zone))
        {
            byte[] extension = new byte[from.ExtensionBytes];
            if (await from.ReadExtensionAsync(zone, extension, cancellationToken))
            {
                await _target.Zones!.Attributes!.WriteExtensionAsync(zone, extension, cancellationToken: cancellationToken);
                _partlyFilled.Add(zone);
                _active++;
            }
        }
    }

    // zones whose data cannot be read were not copied
    private async ValueTask SetOfflineAsync(CancellationToken cancellationToken)
    {
        if (_plan.Source is not { } source || _target.Zones!.Attributes is not { } attributes)
        {
            return;
        }

        int count = 0;
        for (int zone = 0; zone < source.Length; zone++)
        {
            if (source[zone].Condition == ZoneCondition.Offline)
            {
                await attributes.SetConditionAsync(zone, ZoneCondition.Offline, cancellationToken);
                count++;
            }
        }

        if (count > 0)
        {
            _options.Warn?.Invoke($"{count} zones of the source are offline: they are offline in the copy too, and hold no data");
        }
    }
}
