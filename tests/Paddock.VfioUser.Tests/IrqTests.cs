using Microsoft.Win32.SafeHandles;
using Paddock.Posix;
using Paddock.VfioUser.Interrupts;
using Paddock.VfioUser.Wire;

namespace Paddock.VfioUser.Tests;

/// <summary>Interrupts: events of vectors, the pin with its mask.</summary>
public sealed class IrqTests : IDisposable
{
    private const IrqSetFlags SetEvent = IrqSetFlags.DataEvent | IrqSetFlags.Trigger, Off = IrqSetFlags.DataNone | IrqSetFlags.Trigger,
        Mask = IrqSetFlags.DataNone | IrqSetFlags.Mask, Unmask = IrqSetFlags.DataNone | IrqSetFlags.Unmask;

    private readonly IrqTable _table = new(20, hasPin: true);
    private readonly EventDescriptor[] _events = [.. Enumerable.Range(0, 16).Select(_ => EventDescriptor.Create())];

    [Fact]
    public void Vector_without_event_is_not_signalled()
    {
        _table.Raise(0);
        _table.Raise(19);
        _table.Raise(20);
        _table.Raise(-1);
        Assert.Equal(0, _table.Raised);
    }

    [Fact]
    public void Sixteen_events_come_with_one_message()
    {
        Apply(SetEvent, IrqIndex.MsiX, 2, 16, _events);
        _table.Raise(1);
        _table.Raise(17);
        Assert.Equal(1ul, _events[15].Take());
        Assert.Equal(1, _table.Raised);
        Assert.True(_table.IsMessageSignalled);
    }

    [Fact]
    public void Interrupts_allocate_nothing()
    {
        Apply(SetEvent, IrqIndex.MsiX, 0, 1, _events[0]);
        Apply(SetEvent, IrqIndex.Pin, 0, 1, _events[1]);
        Allocations.AssertNone(() =>
        {
            for (int i = 0; i < 1000; i++)
            {
                _table.Raise(0);
                _table.SetPin((i & 1) == 0);
            }
        });
    }

    [Fact]
    public void Event_is_replaced()
    {
        Apply(SetEvent, IrqIndex.MsiX, 0, 1, _events[0]);
        Apply(SetEvent, IrqIndex.MsiX, 0, 1, _events[1]);
        _table.Raise(0);
        Assert.Equal((0ul, 1ul), (_events[0].Take(), _events[1].Take()));
        Apply(SetEvent, IrqIndex.MsiX, 0, 1);
        _table.Raise(0);
        Assert.Equal(0ul, _events[1].Take());
        Assert.False(_table.IsMessageSignalled);
    }

    [Fact]
    public void All_events_are_removed_at_once()
    {
        Apply(SetEvent, IrqIndex.MsiX, 0, 3, _events[..3]);
        Apply(Off, IrqIndex.MsiX, 0, 0);
        _table.Raise(0);
        Assert.Equal(0ul, _events[0].Take());
        Assert.False(_table.IsMessageSignalled);
    }

    [Fact]
    public void Client_can_trigger_vectors()
    {
        Apply(SetEvent, IrqIndex.MsiX, 0, 2, _events[..2]);
        Apply(Off, IrqIndex.MsiX, 0, 2);
        _table.Apply(new IrqSet(IrqSetFlags.DataBool | IrqSetFlags.Trigger, IrqIndex.MsiX, 0, 2), [0, 1], []);
        Assert.Equal((1ul, 2ul), (_events[0].Take(), _events[1].Take()));
    }

    [Fact]
    public void Pin_is_signalled_again_if_still_asserted_when_unmasked()
    {
        Apply(SetEvent, IrqIndex.Pin, 0, 1, _events[0]);
        _table.SetPin(true);
        _table.SetPin(true);
        Assert.Equal(1ul, _events[0].Take());
        Apply(Unmask, IrqIndex.Pin, 0, 1);
        Assert.Equal(0ul, _events[0].Take());
        _table.UnmaskPin();
        Assert.Equal(1ul, _events[0].Take());

        // the host has read everything: the level follows before the unmasking is complete
        Apply(Unmask, IrqIndex.Pin, 0, 1);
        _table.SetPin(false);
        _table.UnmaskPin();
        Assert.Equal(0ul, _events[0].Take());
        Apply(Mask, IrqIndex.Pin, 0, 1);
        _table.SetPin(true);
        _table.UnmaskPin();
        Assert.Equal(0ul, _events[0].Take());
        Apply(Unmask, IrqIndex.Pin, 0, 1);
        _table.UnmaskPin();
        Assert.Equal(1ul, _events[0].Take());
    }

    [Fact]
    public void Disabled_pin_is_signalled_when_it_is_enabled()
    {
        Apply(SetEvent, IrqIndex.Pin, 0, 1, _events[0]);
        _table.DisablePin(true);
        _table.SetPin(true);
        Assert.Equal(0ul, _events[0].Take());
        _table.DisablePin(false);
        Assert.Equal(1ul, _events[0].Take());
    }

    [Fact]
    public void Pin_asserted_before_its_event_is_signalled_with_it()
    {
        _table.SetPin(true);
        Apply(SetEvent, IrqIndex.Pin, 0, 1, _events[0]);
        Assert.Equal(1ul, _events[0].Take());
    }

    [Theory]
    [InlineData(2u, 0u, 21u, 22)]
    [InlineData(2u, 20u, 1u, 22)]
    [InlineData(2u, 1u, 0xFFFFFFFFu, 22)]
    [InlineData(1u, 0u, 1u, 22)]
    [InlineData(3u, 0u, 1u, 22)]
    public void Interrupts_that_do_not_exist_are_rejected(uint index, uint start, uint count, int error)
        => Assert.Equal(
            error, (int)Assert.Throws<RequestFailedException>(() => Apply(SetEvent, index, start, count)).Error);

    [Fact]
    public void Number_of_descriptors_must_match()
        => Assert.Equal(
            ErrorNumber.Invalid,
            Assert.Throws<RequestFailedException>(() => Apply(SetEvent, IrqIndex.MsiX, 0, 3, _events[..2])).Error);

    [Fact]
    public void Vectors_cannot_be_masked_here()
        => Assert.Equal(
            ErrorNumber.NotSupported, Assert.Throws<RequestFailedException>(() => Apply(Mask, IrqIndex.MsiX, 0, 1)).Error);

    [Fact]
    public void Event_must_be_an_eventfd()
    {
        using var file = File.OpenHandle("/dev/null");
        Assert.Equal(
            ErrorNumber.Invalid,
            Assert.Throws<RequestFailedException>(
                () => _table.Apply(new IrqSet(SetEvent, IrqIndex.MsiX, 0, 1), [], [DescriptorSocket.Duplicate(file)])).Error);
    }

    public void Dispose()
    {
        _table.Dispose();
        Array.ForEach(_events, e => e.Dispose());
    }

    private void Apply(IrqSetFlags flags, uint index, uint start, uint count, params EventDescriptor[] events)
    {
        List<SafeFileHandle> given = [.. events.Select(e => DescriptorSocket.Duplicate(e.Handle))];
        try
        {
            _table.Apply(new IrqSet(flags, index, start, count), [], given);
        }
        finally
        {
            given.ForEach(g => g.Dispose());
        }
    }
}
