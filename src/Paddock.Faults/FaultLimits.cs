namespace Paddock.Faults;

/// <summary>Limits of the requests that a <see cref="FaultStorage"/> passes on, in bytes; 0 for no limit.</summary>
internal readonly record struct FaultLimits
{
    // QEMU writes zeroes that have no other way in pieces of 16 MiB
    private const long MaxZeroBuffer = 16 << 20;

    /// <summary>No limits.</summary>
    public FaultLimits()
    {
    }

    /// <summary>Size of the blocks that are always written whole: a power of two; 1 changes nothing.</summary>
    public int Align { get; init; } = 1;

    /// <summary>The longest read or write; a multiple of <see cref="Align"/>.</summary>
    public int MaxTransfer { get; init; }

    /// <summary>Unit in which zeroes are written as a range; parts of it are written as data.</summary>
    public int OptWriteZero { get; init; }

    /// <summary>The longest range of zeroes; a multiple of <see cref="OptWriteZero"/>.</summary>
    public int MaxWriteZero { get; init; }

    /// <summary>Unit of a discard; parts of it are left out.</summary>
    public int OptDiscard { get; init; }

    /// <summary>The longest discard; a multiple of <see cref="OptDiscard"/>.</summary>
    public int MaxDiscard { get; init; }

    /// <summary>Whether any request is split or changed.</summary>
    public bool IsLimiting => Align > 1 || (MaxTransfer | OptWriteZero | MaxWriteZero | OptDiscard | MaxDiscard) != 0;

    /// <summary>The longest read or write that is passed on at once.</summary>
    public int Transfer => MaxTransfer == 0 ? int.MaxValue : MaxTransfer;

    /// <summary>Splits a range of zeroes; parts that are not a range of whole units are written as data.</summary>
    public IEnumerable<(long Offset, long Length, bool IsRange)> SplitZeroes(long offset, long length)
    {
        long unit = Math.Max(Align, OptWriteZero), most = MaxWriteZero == 0 ? long.MaxValue : MaxWriteZero;
        long buffer = MaxTransfer == 0 ? MaxZeroBuffer : Math.Min(MaxTransfer, MaxZeroBuffer);
        while (length > 0)
        {
            long head = offset % unit, tail = (offset + length) % unit, part = length;
            if (head != 0)
            {
                part = Math.Min(Math.Min(length, buffer), unit - head);
            }
            else if (tail != 0 && part > unit)
            {
                part -= tail;
            }

            part = Math.Min(part, most);
            bool isRange = part >= unit;
            part = isRange ? part : Math.Min(part, buffer);
            yield return (offset, part, isRange);
            offset += part;
            length -= part;
        }
    }

    /// <summary>Splits a discard at multiples of the unit, without the parts of blocks at its ends.</summary>
    public IEnumerable<(long Offset, long Length)> SplitDiscard(long offset, long length)
    {
        long unit = Math.Max(Align, OptDiscard), most = MaxDiscard == 0 ? long.MaxValue : MaxDiscard;
        while (length > 0)
        {
            long head = offset % unit, tail = (offset + length) % unit, part = length;
            if (offset % Align != 0)
            {
                part = Math.Min(length, Align - (offset % Align));
            }
            else
            {
                part = head != 0 ? Math.Min(length, unit - head) : tail != 0 && part > unit ? part - tail : part;
                part = Math.Min(part > Align ? part - (part % Align) : part, most);
            }

            if (part >= Align)
            {
                yield return (offset, part);
            }

            offset += part;
            length -= part;
        }
    }
}
