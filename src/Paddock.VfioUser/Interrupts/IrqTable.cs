using Microsoft.Win32.SafeHandles;
using Paddock.Nvme.Pcie;
using Paddock.Posix;
using Paddock.VfioUser.Wire;

namespace Paddock.VfioUser.Interrupts;

/// <summary>
/// The interrupts of the device: an event for each vector of MSI-X, and the pin. The client sets the events; workers signal them.
/// </summary>
internal sealed class IrqTable : IInterrupts, IDisposable
{
    private readonly IrqEvent[] _vectors;
    private readonly PinInterrupt? _pin;
    private volatile bool _enabled;
    private int _set;
    private long _raised;

    /// <param name="vectors">Number of vectors of MSI-X; 0: the device has only the pin.</param>
    /// <param name="hasPin">Whether the device has the pin.</param>
    public IrqTable(int vectors, bool hasPin)
    {
        _vectors = [.. Enumerable.Range(0, vectors).Select(_ => new IrqEvent())];
        _pin = hasPin ? new PinInterrupt() : null;
    }

    /// <summary>Number of interrupts so far.</summary>
    public long Raised => Interlocked.Read(ref _raised) + (_pin?.Raised ?? 0);

    /// <summary>Whether MSI-X is enabled in configuration space. Clients that do not pass that on set events only.</summary>
    public bool IsEnabled
    {
        get => _enabled;
        set => _enabled = value;
    }

    /// <inheritdoc/>
    public bool IsMessageSignalled => _enabled || Volatile.Read(ref _set) > 0;

    /// <inheritdoc/>
    public void Raise(int vector)
    {
        if ((uint)vector < (uint)_vectors.Length && _vectors[vector].TrySignal())
        {
            Interlocked.Increment(ref _raised);
        }
    }

    /// <inheritdoc/>
    public void SetPin(bool asserted) => _pin?.Set(asserted);

    /// <summary>Whether the pin is asserted, masked or not.</summary>
    public bool IsPinAsserted => _pin?.IsAsserted == true;

    /// <summary>Whether the driver disables the pin in the command register.</summary>
    public void DisablePin(bool disabled) => _pin?.SetDisabled(disabled);

    /// <inheritdoc/>
    public void UnmaskPin() => _pin?.Unmask();

    /// <summary>Description of an interrupt type.</summary>
    public IrqInfo Describe(uint index) => index switch
    {
        IrqIndex.Pin when _pin is not null => new IrqInfo(IrqInfoFlags.Event | IrqInfoFlags.Maskable | IrqInfoFlags.AutoMasked, index, 1),
        IrqIndex.MsiX when _vectors.Length > 0 => new IrqInfo(IrqInfoFlags.Event, index, (uint)_vectors.Length),
        _ => new IrqInfo(IrqInfoFlags.None, index, 0),
    };

    /// <summary>Runs a request.</summary>
    /// <param name="set">The request.</param>
    /// <param name="data">One byte for each interrupt, if it has such data.</param>
    /// <param name="descriptors">Its descriptors; those that are used are removed.</param>
    /// <exception cref="RequestFailedException">No such interrupts, or an action that they do not support.</exception>
    public void Apply(in IrqSet set, ReadOnlySpan<byte> data, List<SafeFileHandle> descriptors)
    {
        uint count = Describe(set.Index).Count;
        if (set is { Data: IrqSetFlags.DataNone, Action: IrqSetFlags.Trigger, Start: 0, Count: 0 })
        {
            ClearAll(set.Index);
            return;
        }

        if (set.Count == 0 || set.Start >= count || set.Count > count - set.Start)
        {
            throw new RequestFailedException(
                ErrorNumber.Invalid, $"{set.Count} interrupts from {set.Start} of type {set.Index}, which has {count}");
        }

        bool isPin = set.Index == IrqIndex.Pin;
        switch (set.Data, set.Action)
        {
            case (IrqSetFlags.DataEvent, IrqSetFlags.Trigger):
                SetEvents(set, isPin, descriptors);
                break;
            case (IrqSetFlags.DataNone or IrqSetFlags.DataBool, IrqSetFlags.Trigger):
                Trigger(set, isPin, data);
                break;
            case (IrqSetFlags.DataNone or IrqSetFlags.DataBool, IrqSetFlags.Mask or IrqSetFlags.Unmask) when isPin:
                if (set.Data == IrqSetFlags.DataNone || data[0] != 0)
                {
                    _pin!.SetMask(set.Action == IrqSetFlags.Mask);
                }

                break;
            default:
                throw new RequestFailedException(
                    ErrorNumber.NotSupported, $"interrupts of type {set.Index} do not support flags 0x{(uint)set.Flags:x}");
        }
    }

    /// <summary>Removes all events, as a reset of the function does not: the client removes them itself.</summary>
    public void Clear()
    {
        ClearAll(IrqIndex.MsiX);
        ClearAll(IrqIndex.Pin);
    }

    /// <inheritdoc/>
    public void Dispose() => Clear();

    private void ClearAll(uint index)
    {
        if (index == IrqIndex.MsiX)
        {
            Array.ForEach(_vectors, v => v.Set(null));
            Volatile.Write(ref _set, 0);
        }
        else if (index == IrqIndex.Pin)
        {
            _pin?.SetEvent(null);
        }
    }

    private void SetEvents(in IrqSet set, bool isPin, List<SafeFileHandle> descriptors)
    {
        // without a descriptor, the interrupts have no event any more
        if (descriptors.Count != 0 && descriptors.Count != set.Count)
        {
            throw new RequestFailedException(ErrorNumber.Invalid, $"{descriptors.Count} descriptors for {set.Count} interrupts");
        }

        for (uint i = 0; i < set.Count; i++)
        {
            var next = descriptors.Count > 0 ? Take(descriptors) : null;
            if (isPin)
            {
                _pin!.SetEvent(next);
                continue;
            }

            int had = _vectors[set.Start + i].Set(next) ? 1 : 0;
            Volatile.Write(ref _set, _set + (next is null ? 0 : 1) - had);
        }
    }

    private static EventDescriptor Take(List<SafeFileHandle> descriptors)
    {
        var handle = descriptors[0];
        descriptors.RemoveAt(0);
        try
        {
            return new EventDescriptor(handle);
        }
        catch (IOException e)
        {
            throw new RequestFailedException(ErrorNumber.Invalid, e.Message);
        }
    }

    private void Trigger(in IrqSet set, bool isPin, ReadOnlySpan<byte> data)
    {
        for (int i = 0; i < set.Count; i++)
        {
            if (set.Data == IrqSetFlags.DataBool && data[i] == 0)
            {
                continue;
            }

            if (isPin)
            {
                _pin!.Trigger();
            }
            else
            {
                Raise((int)set.Start + i);
            }
        }
    }
}
