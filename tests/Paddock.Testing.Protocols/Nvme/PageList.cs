using System.Buffers.Binary;
using Paddock.Nvme.Wire;

namespace Paddock.Testing.Protocols.Nvme;

/// <summary>Pages of a host's memory for the data of a command, none beside the other, and their PRP list.</summary>
internal sealed class PageList
{
    private const int PageSize = HostMemory.PageSize;

    private readonly HostMemory _memory;
    private readonly int _length, _offset;
    private readonly ulong[] _pages;
    private readonly ulong _list;

    /// <param name="memory">The host's memory.</param>
    /// <param name="length">Bytes of data.</param>
    /// <param name="offset">Offset in the first page.</param>
    public PageList(HostMemory memory, int length, int offset)
    {
        (_memory, _length, _offset) = (memory, length, offset);
        int count = (offset + length + PageSize - 1) / PageSize;
        ulong first = memory.Allocate(count * PageSize);
        _pages = [.. Enumerable.Range(0, count).Select(i => first + (ulong)((count - 1 - i) * PageSize))];
        _list = count > 2 ? WriteList(_pages.AsSpan(1)) : 0;
    }

    /// <summary>The pages, in the order of the data.</summary>
    public IReadOnlyList<ulong> Pages => _pages;

    /// <summary>Address of the PRP list; 0 if none is needed.</summary>
    public ulong List => _list;

    /// <summary>The command with the places of its data.</summary>
    public SubmissionEntry Describe(SubmissionEntry entry) => new()
    {
        Opcode = entry.Opcode,
        Flags = entry.Flags,
        NamespaceId = entry.NamespaceId,
        DataAddress = _pages[0] + (ulong)_offset,
        Prp2 = _pages.Length == 2 ? _pages[1] : _list,
        Dword10 = entry.Dword10,
        Dword11 = entry.Dword11,
        Dword12 = entry.Dword12,
        Dword13 = entry.Dword13,
        Dword14 = entry.Dword14,
        Dword15 = entry.Dword15,
    };

    public void Write(ReadOnlySpan<byte> data)
    {
        foreach (var (address, length) in Parts())
        {
            data[..length].CopyTo(_memory.At(address, length));
            data = data[length..];
        }
    }

    public byte[] Read()
    {
        var data = new List<byte>();
        foreach (var (address, length) in Parts())
        {
            data.AddRange(_memory.At(address, length));
        }

        return [.. data];
    }

    private IEnumerable<(ulong Address, int Length)> Parts()
    {
        int left = _length;
        for (int i = 0; left > 0; i++)
        {
            int offset = i == 0 ? _offset : 0;
            int part = Math.Min(left, PageSize - offset);
            yield return (_pages[i] + (ulong)offset, part);
            left -= part;
        }
    }

    // the last entry of a full page points at the next page of the list
    private ulong WriteList(ReadOnlySpan<ulong> pages)
    {
        const int room = PageSize / sizeof(ulong);
        ulong first = _memory.Allocate(PageSize), page = first;
        while (true)
        {
            int count = pages.Length > room ? room - 1 : pages.Length;
            for (int i = 0; i < count; i++)
            {
                BinaryPrimitives.WriteUInt64LittleEndian(_memory.At(page + (ulong)(i * sizeof(ulong)), sizeof(ulong)), pages[i]);
            }

            pages = pages[count..];
            if (pages.Length == 0)
            {
                return first;
            }

            ulong next = _memory.Allocate(PageSize);
            BinaryPrimitives.WriteUInt64LittleEndian(_memory.At(page + PageSize - sizeof(ulong), sizeof(ulong)), next);
            page = next;
        }
    }
}
