using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Paddock.Nvme.Auth;

/// <summary>Values over which a response is computed (NVMe base 2.0, 8.13.5.4 and 8.13.5.5).</summary>
/// <param name="Hash">Negotiated hash.</param>
/// <param name="Transaction">The transaction.</param>
/// <param name="HostNqn">The host's name.</param>
/// <param name="SubsystemNqn">The subsystem's name.</param>
internal sealed record ChapResponse(DhChapHash Hash, ushort Transaction, string HostNqn, string SubsystemNqn)
{
    private static uint _lastSequence = BinaryPrimitives.ReadUInt32LittleEndian(RandomNumberGenerator.GetBytes(sizeof(uint)));

    /// <summary>Returns an unused sequence number: they start at a random value, increase, and are never 0.</summary>
    public static uint NextSequence()
    {
        uint next = Interlocked.Increment(ref _lastSequence);
        return next != 0 ? next : Interlocked.Increment(ref _lastSequence);
    }

    /// <summary>Computes R1, the proof that the host has its key.</summary>
    /// <param name="key">The host's key.</param>
    /// <param name="challenge">C1.</param>
    /// <param name="sequence">S1.</param>
    /// <param name="secret">Shared secret of the Diffie-Hellman exchange; null with the NULL group.</param>
    public byte[] OfHost(DhChapKey key, ReadOnlySpan<byte> challenge, uint sequence, byte[]? secret)
        => Of(key.For(HostNqn), challenge, sequence, secret, "HostHost", HostNqn, SubsystemNqn);

    /// <summary>Computes R2, the proof that the controller has its key.</summary>
    /// <param name="key">The controller's key.</param>
    /// <param name="challenge">C2.</param>
    /// <param name="sequence">S2.</param>
    /// <param name="secret">Shared secret of the Diffie-Hellman exchange; null with the NULL group.</param>
    public byte[] OfController(DhChapKey key, ReadOnlySpan<byte> challenge, uint sequence, byte[]? secret)
        => Of(key.For(SubsystemNqn), challenge, sequence, secret, "Controller", SubsystemNqn, HostNqn);

    // HMAC(key, Ca || SEQNUM || T_ID || SC_C || role || name || 00h || other name), where Ca is the challenge,
    // or HMAC(H(secret), challenge) with a group
    private byte[] Of(byte[] key, ReadOnlySpan<byte> challenge, uint sequence, byte[]? secret, string role, string name, string other)
    {
        var algorithm = Hash.Algorithm();
        Span<byte> numbers = stackalloc byte[7];
        BinaryPrimitives.WriteUInt32LittleEndian(numbers, sequence);
        BinaryPrimitives.WriteUInt16LittleEndian(numbers[4..], Transaction);
        numbers[6] = 0;
        using var hmac = IncrementalHash.CreateHMAC(algorithm, key);
        hmac.AppendData(secret is null
            ? challenge
            : CryptographicOperations.HmacData(algorithm, CryptographicOperations.HashData(algorithm, secret), challenge));
        hmac.AppendData(numbers);
        hmac.AppendData(Encoding.UTF8.GetBytes($"{role}{name}\0{other}"));
        return hmac.GetHashAndReset();
    }
}
