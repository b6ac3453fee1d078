using Paddock.Nvme.Target;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Pcie;

/// <summary>A command of a submission queue in the host's memory.</summary>
internal sealed class PcieCommand(SubmissionQueue queue, int slot) : Command(queue, slot)
{
    /// <summary>Its queue.</summary>
    public SubmissionQueue Queue => queue;

    /// <summary>Where its data lie in the host's memory; null when it has none.</summary>
    public TransferMap? Map { get; set; }

    /// <summary>Bytes that count against the controller's limit of memory until the command's end.</summary>
    public int Held { get; set; }

    /// <summary>Next command of the <see cref="CommandList"/> that it is in.</summary>
    public PcieCommand? Next { get; set; }

    /// <inheritdoc/>
    public override void Begin(in SubmissionEntry entry)
    {
        base.Begin(entry);
        Held = 0;
    }
}

/// <summary>Commands in the order in which they were added; a command is in one list at most, so that adding allocates nothing.</summary>
internal struct CommandList
{
    private PcieCommand? _first, _last;

    /// <summary>Whether the list is empty.</summary>
    public readonly bool IsEmpty => _first is null;

    /// <summary>Adds a command at the end.</summary>
    public void Add(PcieCommand command)
    {
        command.Next = null;
        if (_last is null)
        {
            _first = command;
        }
        else
        {
            _last.Next = command;
        }

        _last = command;
    }

    /// <summary>Adds the commands of another list, which is empty afterwards.</summary>
    public void Append(ref CommandList other)
    {
        if (other._first is null)
        {
            return;
        }

        if (_last is null)
        {
            _first = other._first;
        }
        else
        {
            _last.Next = other._first;
        }

        _last = other._last;
        other = default;
    }

    /// <summary>Removes and returns the first command; null when the list is empty.</summary>
    public PcieCommand? Take()
    {
        var first = _first;
        if (first is not null)
        {
            _first = first.Next;
            _last = _first is null ? null : _last;
            first.Next = null;
        }

        return first;
    }
}
