using System.Security.Cryptography;

namespace Paddock.Crypto.Ciphers;

/// <summary>AES by .NET, for processors whose AES instructions are not used directly.</summary>
internal sealed class PlatformAesEngine : BlockEngine
{
    /// <summary>Bytes per call: transforms take arrays, so that blocks are copied in pieces of this size.</summary>
    private const int PieceBytes = 4096;

    private readonly byte[] _key;
    private readonly IdleStack<Transform> _encryptors, _decryptors;

    public PlatformAesEngine(ReadOnlySpan<byte> key)
    {
        _key = key.ToArray();
        _encryptors = new(() => Make(encrypts: true));
        _decryptors = new(() => Make(encrypts: false));
    }

    public override int BlockBytes => 16;

    public override void Encrypt(ReadOnlySpan<byte> source, Span<byte> target) => Run(_encryptors, source, target);

    public override void Decrypt(ReadOnlySpan<byte> source, Span<byte> target) => Run(_decryptors, source, target);

    private static void Run(IdleStack<Transform> idle, ReadOnlySpan<byte> source, Span<byte> target)
    {
        var transform = idle.Take();
        while (source.Length > 0)
        {
            int count = Math.Min(PieceBytes, source.Length);
            source[..count].CopyTo(transform.Piece);
            transform.Crypto.TransformBlock(transform.Piece, 0, count, transform.Piece, 0);
            transform.Piece.AsSpan(0, count).CopyTo(target);
            source = source[count..];
            target = target[count..];
        }

        idle.Return(transform);
    }

    private Transform Make(bool encrypts)
    {
        using var aes = Aes.Create();
        aes.Mode = CipherMode.ECB;
        aes.Padding = PaddingMode.None;
        aes.Key = _key;
        return new Transform(encrypts ? aes.CreateEncryptor() : aes.CreateDecryptor(), new byte[PieceBytes]);
    }

    private sealed record Transform(ICryptoTransform Crypto, byte[] Piece);
}
