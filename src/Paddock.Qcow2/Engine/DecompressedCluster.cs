using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>The compressed cluster that was read last, unpacked: small sequential reads of one cluster unpack it once.</summary>
internal sealed class DecompressedCluster
{
    private readonly Lock _lock = new();
    private byte[]? _bytes;
    private L2Entry _entry;

    /// <summary>Copies part of the cluster of an entry, if it is this one.</summary>
    public bool TryCopy(L2Entry entry, int at, Span<byte> buffer)
    {
        lock (_lock)
        {
            if (_bytes is null || _entry != entry)
            {
                return false;
            }

            _bytes.AsSpan(at, buffer.Length).CopyTo(buffer);
            return true;
        }
    }

    /// <summary>Keeps a cluster in place of the one before.</summary>
    public void Keep(L2Entry entry, byte[] bytes)
    {
        lock (_lock)
        {
            (_entry, _bytes) = (entry, bytes);
        }
    }

    /// <summary>Compressed clusters have changed.</summary>
    public void Drop()
    {
        lock (_lock)
        {
            _bytes = null;
        }
    }
}
