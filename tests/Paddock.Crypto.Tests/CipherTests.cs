using System.Security.Cryptography;
using Paddock.Crypto.Ciphers;

namespace Paddock.Crypto.Tests;

/// <summary>Ciphers and modes against published vectors, and implementations against each other.</summary>
public class CipherTests
{
    public static TheoryData<string, string, string> Combinations
    {
        get
        {
            var data = new TheoryData<string, string, string>();
            foreach (string cipher in new[] { "aes-128", "aes-192", "aes-256", "serpent-256", "twofish-192", "cast5-128" })
            {
                foreach (string mode in new[] { "xts", "cbc", "ctr", "ecb" })
                {
                    foreach (string iv in new[] { "plain", "plain64", "essiv" })
                    {
                        if (cipher != "cast5-128" || (mode != "xts" && iv != "essiv"))
                        {
                            data.Add(cipher, mode, iv);
                        }
                    }
                }
            }

            return data;
        }
    }

    [Theory]
    [InlineData("000102030405060708090a0b0c0d0e0f", "69c4e0d86a7b0430d8cdb78070b4c55a")]
    [InlineData("000102030405060708090a0b0c0d0e0f1011121314151617", "dda97ca4864cdfe06eaf70a0ec0d7191")]
    [InlineData("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "8ea2b7ca516745bfeafc49904b496089")]
    public void Aes_matches_the_examples_of_fips_197(string key, string cipherText)
    {
        var plain = Convert.FromHexString("00112233445566778899aabbccddeeff");
        foreach (var engine in AesEngines(Convert.FromHexString(key)))
        {
            var block = new byte[16];
            engine.Encrypt(plain, block);
            Assert.Equal(cipherText, Convert.ToHexStringLower(block));
            engine.Decrypt(block, block);
            Assert.Equal(plain, block);
        }
    }

    // IEEE 1619-2007, annex B, vectors 4 and 10
    [Theory]
    [InlineData(
        "27182818284590452353602874713526", "31415926535897932384626433832795", 0, "27a7479befa1d476489f308cd4cfa6e2")]
    [InlineData(
        "2718281828459045235360287471352662497757247093699959574966967627",
        "3141592653589793238462643383279502884197169399375105820974944592", 0xff, "1c3b3a102f770386e4836c99e370cf9b")]
    public void Xts_begins_as_in_ieee_1619(string key1, string key2, long sector, string first)
    {
        var source = new byte[512];
        for (int i = 0; i < source.Length; i++)
        {
            source[i] = (byte)i;
        }

        var key = Convert.FromHexString(key1 + key2);
        var spec = new CipherSpec(
            key.Length == 32 ? CipherAlgorithm.Aes128 : CipherAlgorithm.Aes256, SectorMode.Xts, IvGenerator.Plain64, null);
        var cipher = SectorCipher.Create(spec, key);
        var target = new byte[512];
        cipher.Encrypt(sector, source, target);
        Assert.Equal(first, Convert.ToHexStringLower(target.AsSpan(0, 16)));
        cipher.Decrypt(sector, target, target);
        Assert.Equal(source, target);
    }

    [Fact]
    public void Aes_engines_agree()
    {
        foreach (int size in new[] { 16, 24, 32 })
        {
            var engines = AesEngines(RandomNumberGenerator.GetBytes(size)).ToList();
            foreach (int length in new[] { 16, 48, 128, 144, 512, 8192 + 16 })
            {
                var plain = RandomNumberGenerator.GetBytes(length);
                var results = engines.ConvertAll(e => Run(e.Encrypt, plain));
                Assert.All(results, r => Assert.Equal(results[0], r));
                Assert.All(engines, e => Assert.Equal(plain, Run(e.Decrypt, results[0])));
            }
        }
    }

    [Fact]
    public void Fused_xts_equals_xts_over_any_cipher()
    {
        var key = RandomNumberGenerator.GetBytes(64);
        var spec = new CipherSpec(CipherAlgorithm.Aes256, SectorMode.Xts, IvGenerator.Plain64, null);
        var fused = SectorCipher.Create(spec, key);
        var general = new XtsCipher(
            new PlatformAesEngine(key.AsSpan(0, 32)), new PlatformAesEngine(key.AsSpan(32)), new SectorIv(spec, key));
        foreach (int sectors in new[] { 1, 7, 8, 9, 33 })
        {
            var plain = RandomNumberGenerator.GetBytes(sectors * 512);
            byte[] a = new byte[plain.Length], b = new byte[plain.Length];
            fused.Encrypt(0x1_2345_6789, plain, a);
            general.Encrypt(0x1_2345_6789, plain, b);
            Assert.Equal(a, b);
            fused.Decrypt(0x1_2345_6789, a, a);
            general.Decrypt(0x1_2345_6789, b, b);
            Assert.Equal(plain, a);
            Assert.Equal(plain, b);
        }
    }

    [Theory]
    [MemberData(nameof(Combinations))]
    public void Sectors_are_encrypted_each_for_itself(string cipher, string mode, string iv)
    {
        var spec = new CipherSpec(
            CipherNames.FindAlgorithm(cipher)!.Value, CipherNames.FindMode(mode)!.Value, CipherNames.FindGenerator(iv)!.Value,
            iv != "essiv" ? null : cipher == "twofish-192" ? HashKind.Md5 : HashKind.Sha256);
        spec.Validate();
        var sectors = SectorCipher.Create(spec, RandomNumberGenerator.GetBytes(spec.KeyBytes));
        var plain = RandomNumberGenerator.GetBytes(16 * 512);
        var whole = new byte[plain.Length];
        sectors.Encrypt(1000, plain, whole);
        Assert.NotEqual(plain, whole);
        for (int i = 0; i < 16; i++)
        {
            var one = new byte[512];
            sectors.Encrypt(1000 + i, plain.AsSpan(i * 512, 512), one);
            Assert.Equal(whole.AsSpan(i * 512, 512).ToArray(), one);
        }

        var place = (byte[])whole.Clone();
        sectors.Decrypt(1000, place, place);
        Assert.Equal(plain, place);
        sectors.Encrypt(1000, place, place);
        Assert.Equal(whole, place);
    }

    [Fact]
    public async Task One_cipher_serves_many_threads()
    {
        foreach (string name in new[] { "aes-256", "serpent-256", "cast5-128" })
        {
            var algorithm = CipherNames.FindAlgorithm(name)!.Value;
            var spec = new CipherSpec(algorithm, SectorMode.Cbc, IvGenerator.Plain64, null);
            var cipher = SectorCipher.Create(spec, RandomNumberGenerator.GetBytes(spec.KeyBytes));
            var plain = RandomNumberGenerator.GetBytes(64 * 512);
            var expected = new byte[plain.Length];
            cipher.Encrypt(5, plain, expected);
            await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() =>
            {
                var mine = new byte[plain.Length];
                for (int i = 0; i < 20; i++)
                {
                    cipher.Encrypt(5, plain, mine);
                    Assert.Equal(expected, mine);
                    cipher.Decrypt(5, mine, mine);
                    Assert.Equal(plain, mine);
                }
            })));
        }
    }

    [Theory]
    [InlineData("aes-256", "sha1", "No AES cipher with key size 20 available")]
    [InlineData("serpent-128", "sha512", "No Serpent cipher with key size 64 available")]
    [InlineData("cast5-128", "sha256", "Cipher cast5-128 not supported with essiv")]
    public void Essiv_without_a_fitting_key_is_rejected(string cipher, string hash, string message)
    {
        var spec = new CipherSpec(
            CipherNames.FindAlgorithm(cipher)!.Value, SectorMode.Cbc, IvGenerator.Essiv, CipherNames.FindHash(hash));
        Assert.Equal(message, Assert.Throws<Paddock.Block.BlockException>(spec.Validate).Message);
    }

    // RFC 6070; the others by OpenSSL
    [Theory]
    [InlineData("sha1", "password", "salt", 2, "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957")]
    [InlineData("ripemd160", "password", "salt", 1000, "b5c5682c46fdb315930cfc54e82d0987e6ef938fee9320191bfbac27")]
    [InlineData("sm3", "password", "salt", 1000, "e8b635a41dfe5aaab7cf828cff6f3608e22cac59ba16edd70e000b293d00bc9118504f57ab46")]
    [InlineData("sha224", "password", "salt", 1000, "d3bcf320fd918908eafcaa460faf40e201f6508d4e6f3d9c1c0abd30dae08cc8b1bc0657")]
    [InlineData("sha1", "password", "salt", 4096, "4b007901b765489abead49d926f721d065a429c1")]
    public void Pbkdf2_matches_its_vectors(string hash, string secret, string salt, int iterations, string key)
    {
        var derived = new byte[key.Length / 2];
        Digest.Derive(
            CipherNames.FindHash(hash)!.Value, System.Text.Encoding.UTF8.GetBytes(secret), System.Text.Encoding.UTF8.GetBytes(salt),
            iterations, derived);
        Assert.Equal(key, Convert.ToHexStringLower(derived));
    }

    [Theory]
    [InlineData("sha256")]
    [InlineData("ripemd160")]
    [InlineData("sm3")]
    public void Splitter_returns_the_key_and_needs_every_stripe(string name)
    {
        var hash = CipherNames.FindHash(name)!.Value;
        foreach (int size in new[] { 16, 32, 64 })
        {
            var key = RandomNumberGenerator.GetBytes(size);
            var stripes = new byte[size * 20];
            Luks.AfSplitter.Split(hash, key, stripes);
            var back = new byte[size];
            Luks.AfSplitter.Merge(hash, stripes, back);
            Assert.Equal(key, back);
            stripes[size * 3] ^= 1;
            Luks.AfSplitter.Merge(hash, stripes, back);
            Assert.NotEqual(key, back);
        }
    }

    private static IEnumerable<BlockEngine> AesEngines(byte[] key)
    {
        yield return new PlatformAesEngine(key);
        if (AesNiEngine.IsSupported)
        {
            yield return new AesNiEngine(key);
        }
    }

    private static byte[] Run(Step step, byte[] source)
    {
        var target = new byte[source.Length];
        step(source, target);
        return target;
    }

    private delegate void Step(ReadOnlySpan<byte> source, Span<byte> target);
}
