using Paddock.Block;
using Paddock.Crypto.Ciphers;
using Paddock.Qcow2.Format;

namespace Paddock.Qcow2.Engine;

/// <summary>The encryption of guest data.</summary>
/// <param name="cipher">The cipher; null: the image was opened without its key, and data cannot be used.</param>
/// <param name="byGuestOffset">
/// Whether sectors are numbered as on the disk (the old AES encryption), not as in the file (LUKS).
/// </param>
internal sealed class DataCipher(SectorCipher? cipher, bool byGuestOffset)
{
    private readonly SectorTransfer? _transfer = cipher is null ? null : new SectorTransfer(cipher);

    /// <summary>Whether data can be used.</summary>
    public bool HasKey => _transfer is not null;

    private SectorTransfer Transfer => _transfer ?? throw new PassphraseRequiredException(byGuestOffset ? "AES" : "LUKS");

    /// <summary>Reads and decrypts.</summary>
    public ValueTask ReadAsync(
        IStorage storage, HostOffset host, GuestOffset guest, Memory<byte> target, CancellationToken cancellationToken)
        => Transfer.ReadAsync(storage, host.Value, byGuestOffset ? guest.Value : host.Value, target, cancellationToken);

    /// <summary>Encrypts and writes.</summary>
    public ValueTask WriteAsync(
        IStorage storage, HostOffset host, GuestOffset guest, ReadOnlyMemory<byte> source, CancellationToken cancellationToken)
        => Transfer.WriteAsync(storage, host.Value, byGuestOffset ? guest.Value : host.Value, source, cancellationToken);
}
