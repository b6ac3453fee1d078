using Paddock.VhostUser.Rings;

namespace Paddock.VhostUser.Tests.Rings;

/// <summary>The guest's side of a split ring.</summary>
internal sealed unsafe class SplitDriver : RingDriver
{
    private readonly byte* _table;
    private readonly byte* _available;
    private readonly byte* _used;
    private readonly int[] _lengths;
    private readonly Stack<ushort> _free;
    private readonly ushort[] _links;
    private readonly bool _events;
    private ushort _kicked;

    public SplitDriver(GuestArena arena, int size, RingFeatures features)
        : base(arena, size, features)
    {
        ulong table = arena.Allocate(16 * size), available = arena.Allocate(6 + (2 * size)), used = arena.Allocate(6 + (8 * size));
        _table = arena.Place(table);
        _available = arena.Place(available);
        _used = arena.Place(used);
        Addresses = new RingAddresses(GuestArena.ToUser(table), GuestArena.ToUser(available), GuestArena.ToUser(used));
        _events = (features & RingFeatures.EventIndex) != 0;
        _lengths = new int[size];
        _links = new ushort[size];
        _free = new Stack<ushort>(Enumerable.Range(0, size).Reverse().Select(i => (ushort)i));
    }

    /// <summary>Index of the next available entry.</summary>
    public ushort Index
    {
        get => *(ushort*)(_available + 2);
        set => Volatile.Write(ref *(ushort*)(_available + 2), value);
    }

    /// <summary>Index of the next used entry to inspect.</summary>
    public ushort Seen { get; set; }

    public byte* Table => _table;

    public byte* Available => _available;

    public byte* Used => _used;

    public ushort UsedIndex => Volatile.Read(ref *(ushort*)(_used + 2));

    public override int Add(ReadOnlySpan<Piece> pieces, bool indirect = false)
    {
        int count = indirect ? 1 : pieces.Length;
        ushort head = _free.Peek();
        _lengths[head] = count;
        if (indirect)
        {
            _free.Pop();
            ulong table = FillTable(head, pieces);
            Put(_table + (16 * head), new Piece(table, 16 * pieces.Length, false), (ushort)DescriptorFlags.Indirect, 0);
        }
        else
        {
            for (int i = 0; i < count; i++)
            {
                ushort index = _free.Pop();
                bool last = i == count - 1;
                ushort next = last ? (ushort)0 : _free.Peek();
                var flags = (pieces[i].Write ? DescriptorFlags.Write : 0) | (last ? 0 : DescriptorFlags.Next);
                Put(_table + (16 * index), pieces[i], (ushort)flags, next);
                _links[index] = next;
            }
        }

        Publish(head);
        return head;
    }

    /// <summary>Makes a head available without checks.</summary>
    public void Publish(ushort head)
    {
        *(ushort*)(_available + 4 + (2 * (Index % Size))) = head;
        Index++;
    }

    public override bool TryGetUsed(out int id, out uint written)
    {
        (id, written) = (-1, 0);
        if (UsedIndex == Seen)
        {
            return false;
        }

        byte* entry = _used + 4 + (8 * (Seen % Size));
        id = (int)*(uint*)entry;
        written = *(uint*)(entry + 4);
        Seen++;
        ushort index = (ushort)id;
        for (int left = _lengths[id]; left > 0; left--)
        {
            _free.Push(index);
            index = _links[index];
        }

        _lengths[id] = 0;
        return true;
    }

    public override bool NeedsKick()
    {
        ushort before = _kicked, now = Index;
        _kicked = now;
        Interlocked.MemoryBarrier();
        ushort wanted = *(ushort*)(_used + 4 + (8 * Size));
        return _events ? (ushort)(now - wanted - 1) < (ushort)(now - before) : *(ushort*)_used == 0 && before != now;
    }

    public override void Mute()
    {
        *(ushort*)_available = (ushort)(_events ? 0 : 1);
        if (_events)
        {
            NotifyAfter(0x8000);
        }
    }

    public override void NotifyAfter(int more)
    {
        *(ushort*)_available = 0;
        if (_events)
        {
            *(ushort*)(_available + 4 + (2 * Size)) = (ushort)(Seen + more - 1);
        }
    }
}
