using System.Buffers.Binary;
using Paddock.Nvme.Wire;

namespace Paddock.Nvme.Pcie;

/// <summary>
/// Physical region pages (NVMe base 2.0, 4.1.1): PRP1 may begin inside a page, PRP2 is the second page, or a list of pages if there are
/// more. The last entry of a page of the list points at the next page of the list if the data do not end before.
/// </summary>
/// <param name="memory">Memory of the host.</param>
internal sealed class PrpList(IDeviceMemory memory)
{
    private const int PageSize = 4096, EntrySize = 8;
    private const ulong PageOffset = PageSize - 1;

    private readonly byte[] _page = new byte[PageSize];

    /// <summary>Finds the pages of a command's data.</summary>
    /// <param name="entry">The command.</param>
    /// <param name="length">Bytes of data, more than 0.</param>
    /// <param name="map">Receives the pages.</param>
    public NvmeStatus Read(in SubmissionEntry entry, int length, TransferMap map)
    {
        map.Clear();
        ulong first = entry.DataAddress;
        if ((first & 3) != 0)
        {
            return NvmeStatus.PrpOffsetInvalid;
        }

        int part = Math.Min(length, PageSize - (int)(first & PageOffset));
        map.Add(first, part);
        int left = length - part;
        if (left > PageSize)
        {
            return ReadList(entry.Prp2, left, map);
        }

        if (left > 0)
        {
            if ((entry.Prp2 & PageOffset) != 0)
            {
                return NvmeStatus.PrpOffsetInvalid;
            }

            map.Add(entry.Prp2, left);
        }

        return NvmeStatus.Success;
    }

    // the first page of the list may be used from an offset on; later ones begin at their start, so that each has an entry for data
    private NvmeStatus ReadList(ulong address, int left, TransferMap map)
    {
        if ((address & (EntrySize - 1)) != 0)
        {
            return NvmeStatus.PrpOffsetInvalid;
        }

        while (true)
        {
            int room = (PageSize - (int)(address & PageOffset)) / EntrySize;
            int pages = (left + PageSize - 1) / PageSize;
            bool continues = pages > room;
            var list = _page.AsSpan(0, Math.Min(pages, room) * EntrySize);
            if (!memory.TryRead(address, list))
            {
                return NvmeStatus.DataTransferError;
            }

            int used = continues ? list.Length - EntrySize : list.Length;
            for (int at = 0; at < used; at += EntrySize)
            {
                ulong page = BinaryPrimitives.ReadUInt64LittleEndian(list[at..]);
                if ((page & PageOffset) != 0)
                {
                    return NvmeStatus.PrpOffsetInvalid;
                }

                int part = Math.Min(left, PageSize);
                map.Add(page, part);
                left -= part;
            }

            if (!continues)
            {
                return NvmeStatus.Success;
            }

            address = BinaryPrimitives.ReadUInt64LittleEndian(list[used..]);
            if ((address & PageOffset) != 0)
            {
                return NvmeStatus.PrpOffsetInvalid;
            }
        }
    }
}
