using System.Buffers.Binary;

namespace Paddock.Crypto.Ciphers;

/// <summary>Makes the initialization vectors of sectors.</summary>
internal sealed class SectorIv
{
    /// <summary>Bytes in the longest vector.</summary>
    public const int MaxBytes = 16;

    private readonly IvGenerator _generator;
    private readonly BlockEngine? _essiv;

    public SectorIv(CipherSpec spec, ReadOnlySpan<byte> key)
    {
        _generator = spec.Generator;
        if (_generator == IvGenerator.Essiv)
        {
            _essiv = BlockEngine.Create(spec.EssivAlgorithm(), Digest.Hash(spec.GeneratorHash!.Value, key));
        }
    }

    /// <summary>Writes the vector of a sector.</summary>
    /// <param name="sector">The sector's number.</param>
    /// <param name="iv">Receives the vector: <see cref="MaxBytes"/> bytes, of which a cipher with shorter blocks takes the first.</param>
    public void Write(long sector, Span<byte> iv)
    {
        BinaryPrimitives.WriteInt64LittleEndian(iv, _generator == IvGenerator.Plain ? (uint)sector : sector);
        iv[sizeof(long)..].Clear();
        _essiv?.Encrypt(iv, iv);
    }
}
