using Org.BouncyCastle.Crypto;
using Org.BouncyCastle.Crypto.Engines;
using Org.BouncyCastle.Crypto.Parameters;

namespace Paddock.Crypto.Ciphers;

/// <summary>Serpent, Twofish and CAST5 by BouncyCastle.</summary>
internal sealed class BouncyEngine : BlockEngine
{
    private readonly CipherAlgorithm _algorithm;
    private readonly KeyParameter _key;
    private readonly IdleStack<IBlockCipher> _encryptors, _decryptors;

    public BouncyEngine(CipherAlgorithm algorithm, ReadOnlySpan<byte> key)
    {
        _algorithm = algorithm;
        _key = new KeyParameter(key);
        _encryptors = new(() => Make(encrypts: true));
        _decryptors = new(() => Make(encrypts: false));
    }

    public override int BlockBytes => CipherNames.BlockBytes(_algorithm);

    public override void Encrypt(ReadOnlySpan<byte> source, Span<byte> target) => Run(_encryptors, source, target);

    public override void Decrypt(ReadOnlySpan<byte> source, Span<byte> target) => Run(_decryptors, source, target);

    private void Run(IdleStack<IBlockCipher> idle, ReadOnlySpan<byte> source, Span<byte> target)
    {
        var cipher = idle.Take();
        for (int at = 0, size = BlockBytes; at < source.Length; at += size)
        {
            cipher.ProcessBlock(source.Slice(at, size), target.Slice(at, size));
        }

        idle.Return(cipher);
    }

    private IBlockCipher Make(bool encrypts)
    {
        IBlockCipher cipher = _algorithm switch
        {
            CipherAlgorithm.Cast5 => new Cast5Engine(),
            <= CipherAlgorithm.Serpent256 => new SerpentEngine(),
            _ => new TwofishEngine(),
        };
        cipher.Init(encrypts, _key);
        return cipher;
    }
}
