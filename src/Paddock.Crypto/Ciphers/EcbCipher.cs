namespace Paddock.Crypto.Ciphers;

/// <summary>Sectors in ECB mode: equal blocks are equal cipher text everywhere. For images that were made so.</summary>
internal sealed class EcbCipher(BlockEngine engine) : SectorCipher
{
    public override void Encrypt(long sector, ReadOnlySpan<byte> source, Span<byte> target) => engine.Encrypt(source, target);

    public override void Decrypt(long sector, ReadOnlySpan<byte> source, Span<byte> target) => engine.Decrypt(source, target);
}
