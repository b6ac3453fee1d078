using Org.BouncyCastle.Crypto.Agreement;
using Org.BouncyCastle.Crypto.Generators;
using Org.BouncyCastle.Crypto.Parameters;
using Org.BouncyCastle.Crypto.Prng;
using Org.BouncyCastle.Math;
using Org.BouncyCastle.Security;

namespace Paddock.Nvme.Auth;

/// <summary>
/// A Diffie-Hellman key pair for one exchange. An exponentiation takes 2 to 50 ms of a core: they run on the thread pool, half as many at a
/// time as there are cores, so that authenticating hosts do not delay others.
/// </summary>
internal sealed class DhKeyPair
{
    private static readonly SemaphoreSlim Turn = new(Math.Max(1, Environment.ProcessorCount / 2));

    private readonly DhChapGroup _group;
    private readonly DHPrivateKeyParameters _private;

    private DhKeyPair(DhChapGroup group, DHPrivateKeyParameters secret, byte[] value)
    {
        _group = group;
        _private = secret;
        PublicValue = value;
    }

    /// <summary>The public value, big-endian, as long as the group's prime.</summary>
    public byte[] PublicValue { get; }

    /// <summary>Generates a key pair.</summary>
    /// <param name="group">Not the NULL group.</param>
    /// <param name="gone">Cancels waiting.</param>
    public static Task<DhKeyPair> CreateAsync(DhChapGroup group, CancellationToken gone = default) => RunAsync(() =>
    {
        // read from the system's random generator directly, not from a generator seeded by it
        using var source = new CryptoApiRandomGenerator();
        var generator = new DHKeyPairGenerator();
        generator.Init(new DHKeyGenerationParameters(new SecureRandom(source), group.Parameters()!));
        var pair = generator.GenerateKeyPair();
        return new DhKeyPair(group, (DHPrivateKeyParameters)pair.Private, Pad(((DHPublicKeyParameters)pair.Public).Y, group.Length()));
    }, gone);

    /// <summary>The secret shared with the peer, big-endian, as long as the group's prime: leading zeroes stay, as in Linux.</summary>
    /// <returns>
    /// Null if the value of the peer is too long or not a valid member of the group: 1 &lt; y &lt; p - 1, and of the right order.
    /// </returns>
    public Task<byte[]?> AgreeAsync(ReadOnlyMemory<byte> peer, CancellationToken gone = default) => RunAsync(() =>
    {
        if (peer.Length == 0 || peer.Length > _group.Length())
        {
            return null;
        }

        try
        {
            var agreement = new DHBasicAgreement();
            agreement.Init(_private);
            var value = new DHPublicKeyParameters(new BigInteger(1, peer.Span), _group.Parameters()!);
            return Pad(agreement.CalculateAgreement(value), _group.Length());
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException)
        {
            return null;
        }
    }, gone);

    private static async Task<T> RunAsync<T>(Func<T> work, CancellationToken gone)
    {
        await Turn.WaitAsync(gone);
        try
        {
            return await Task.Run(work, CancellationToken.None);
        }
        finally
        {
            Turn.Release();
        }
    }

    private static byte[] Pad(BigInteger number, int length)
    {
        byte[] bytes = number.ToByteArrayUnsigned(), padded = new byte[length];
        bytes.CopyTo(padded, length - bytes.Length);
        return padded;
    }
}
