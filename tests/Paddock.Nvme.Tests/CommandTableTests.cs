using Paddock.Nvme.Target;
using Paddock.Nvme.Tcp;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Tests;

public class CommandTableTests
{
    private readonly CommandTable<TcpCommand> _table = new(slot => new TcpCommand(new QueueDouble(), slot), entries: 4);

    [Fact]
    public void Freed_slot_is_reused()
    {
        var first = Begin(1);
        _table.End(first);
        Assert.Same(first, Begin(2));
        Assert.Equal(0, first.Slot);
        Assert.Equal(1, Begin(3).Slot);
        Assert.Equal(2, _table.InFlight);
    }

    [Fact]
    public void Reused_slot_keeps_nothing_of_its_previous_command()
    {
        var command = Begin(1);
        (command.Result, command.Received, command.Written, command.Held) = (7, 7, 7, 7);
        (command.IsAborted, command.IsBroken, command.Data, command.Status) = (true, true, new byte[7], NvmeStatus.InvalidField);
        _table.End(command);
        Assert.Same(command, Begin(2));
        Assert.Equal((0ul, 0, 0, 0), (command.Result, command.Received, command.Written, command.Held));
        Assert.Equal((false, false, 0, NvmeStatus.Success), (command.IsAborted, command.IsBroken, command.Data.Length, command.Status));
    }

    [Fact]
    public void Identifier_in_use_is_a_conflict_until_its_command_ends()
    {
        var first = Begin(9);
        var second = _table.TryBegin(Entry(9), out bool isConflict);
        Assert.True(isConflict);
        second!.Status = NvmeStatus.CommandIdConflict;
        _table.End(second!);
        _table.End(_table.TryBegin(Entry(9), out isConflict)!);
        Assert.True(isConflict);
        _table.End(first);
        Begin(9);
    }

    [Fact]
    public void Rejected_duplicate_does_not_free_the_identifier()
    {
        Begin(9);
        for (int i = 0; i < 3; i++)
        {
            var duplicate = _table.TryBegin(Entry(9), out bool isConflict)!;
            Assert.True(isConflict, $"duplicate {i}");
            duplicate.Status = NvmeStatus.CommandIdConflict;
            _table.End(duplicate);
        }
    }

    [Fact]
    public void No_more_commands_than_entries_begin()
    {
        for (ushort i = 0; i < 4; i++)
        {
            Begin(i);
        }

        Assert.Null(_table.TryBegin(Entry(4), out _));
        Assert.Equal(4, _table.InFlight);
    }

    [Fact]
    public void Head_wraps_at_the_size_of_the_queue()
    {
        _table.Resize(3);
        var heads = Enumerable.Range(0, 4).Select(i =>
        {
            _table.End(Begin((ushort)i));
            return _table.Head;
        });
        Assert.Equal([1, 2, 0, 1], heads);
    }

    [Fact]
    public void Command_is_found_by_its_identifier_while_it_is_in_flight()
    {
        var command = Begin(ushort.MaxValue);
        Assert.Same(command, _table.Find(ushort.MaxValue));
        Assert.Equal([command], _table.Snapshot());
        _table.End(command);
        Assert.Null(_table.Find(ushort.MaxValue));
        Assert.Empty(_table.Snapshot());
    }

    [Fact]
    public void Abandoned_command_is_not_waited_for_and_its_slot_not_reused()
    {
        var command = Begin(1);
        _table.Abandon(command);
        _table.Abandon(command);
        Assert.Equal(0, _table.InFlight);
        Assert.NotSame(command, Begin(2));
    }

    [Fact]
    public async Task End_of_a_command_is_signalled()
    {
        var command = Begin(1);
        var change = _table.NextChangeAsync();
        Assert.False(change.IsCompleted);
        _table.End(command);
        await change.WaitAsync(TestContext.Current.CancellationToken);
        change = _table.NextChangeAsync();
        Assert.False(change.IsCompleted);
        _table.Wake();
        await change.WaitAsync(TestContext.Current.CancellationToken);
    }

    private TcpCommand Begin(ushort id)
    {
        var command = _table.TryBegin(Entry(id), out bool isConflict)!;
        Assert.False(isConflict);
        return command;
    }

    private static SubmissionEntry Entry(ushort id) => new() { CommandId = id, Opcode = Opcode.Write };
}
