using System.Globalization;
using System.Numerics;
using Paddock.Nvme.Auth;

namespace Paddock.Nvme.Tests;

/// <summary>Keys, groups and responses, compared with values computed by other programs.</summary>
public class DhChapTests
{
    private const string Key32 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh+KfiaR";
    private const string Key48 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vcSEgBQ==";
    private const string Key64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P4zODhA=";

    // from Python's hmac and hashlib: hash, key, whether there is a secret, first bytes of R1 and R2
    public static TheoryData<int, string, bool, string, string> Responses => new()
    {
        { 1, "DHHC-1:00:" + Key32, false, "fc2f9a5f38e64947d2cf446229bcf200", "5f82d49ce862af1487efa0f2eb0874d1" },
        { 1, "DHHC-1:00:" + Key32, true, "78d0574737de1330371c0645d66f030c", "7aea388601dfeec1d8cdc5bb5ef05e5a" },
        { 1, "DHHC-1:01:" + Key32, false, "6a18653250959cafb5f5a13f42e71619", "f61dcf67a49580b3d3197fab434839bf" },
        { 1, "DHHC-1:03:" + Key64, true, "235de0fcbea077e282a5ebff0a602fcb", "3943a2ca599cc4cc3c71cdb8010bb895" },
        { 2, "DHHC-1:00:" + Key32, true, "8ef1893ea36cdd783bb3f6d793e7ae02", "15eaf6f712c56ae33abbdaa34fa46363" },
        { 2, "DHHC-1:01:" + Key32, false, "8b6369799709e3d6a0a844a32a59d297", "d16c57873b970db67e68a681e63962a6" },
        { 2, "DHHC-1:02:" + Key48, true, "5cc277a08c9314225b5f8701a5df7503", "11be048347b30f4a7ef9219c65e16073" },
        { 3, "DHHC-1:00:" + Key32, false, "f739ddb12f7bff94a59c2a9b84c39b78", "568954bb6c5c33e81d4d25d365dc8ec2" },
        { 3, "DHHC-1:02:" + Key48, false, "249e808d209a8f0551da15af56d07f49", "7b658c287e977d2350662b1749f5a79c" },
        { 3, "DHHC-1:03:" + Key64, true, "61ec3a0716787a991a7dbb90cdccc752", "790caa15104f552f577ad56673eda5ad" },
    };

    [Theory]
    [MemberData(nameof(Responses))]
    public void Response_equals_that_of_an_independent_implementation(int hash, string key, bool withSecret, string host, string controller)
    {
        var response = new ChapResponse((DhChapHash)hash, 0xABCD, "nqn.2014-08.org.example:host", "nqn.2026-01.io.paddock:test");
        byte[] challenge = [.. Enumerable.Range(0x80, ((DhChapHash)hash).Length()).Select(i => (byte)i)];
        byte[]? secret = withSecret ? [.. Enumerable.Range(0, 256).Select(i => (byte)(i * 7))] : null;
        var parsed = DhChapKey.Parse(key + ":");
        Assert.StartsWith(host, Hex(response.OfHost(parsed, challenge, 0x11223344, secret)), StringComparison.Ordinal);
        Assert.StartsWith(controller, Hex(response.OfController(parsed, challenge, 0x55667788, secret)), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(DhChapGroup.Ffdhe2048, 2048, 560316)]
    [InlineData(DhChapGroup.Ffdhe3072, 3072, 2625351)]
    [InlineData(DhChapGroup.Ffdhe4096, 4096, 5736041)]
    [InlineData(DhChapGroup.Ffdhe6144, 6144, 15705020)]
    [InlineData(DhChapGroup.Ffdhe8192, 8192, 10965728)]
    public void Prime_of_each_group_matches_its_formula(DhChapGroup group, int bits, int x)
    {
        // RFC 7919, appendix A: p = 2^b - 2^(b-64) + (floor(2^(b-130) e) + X) 2^64 - 1, where e = 1 + 1/1! + 1/2! + ...
        var one = BigInteger.One << (bits + 64);
        var e = BigInteger.Zero;
        var term = one;
        for (int n = 1; term > 0; n++)
        {
            e += term;
            term /= n;
        }

        var prime = (BigInteger.One << bits) - (BigInteger.One << (bits - 64)) + (((e >> (64 + 130)) + x) << 64) - 1;
        var parameters = group.Parameters()!;
        Assert.Equal(prime, new BigInteger(parameters.P.ToByteArrayUnsigned(), isUnsigned: true, isBigEndian: true));
        Assert.Equal((2, bits / 8), (parameters.G.IntValue, group.Length()));
    }

    [Theory]
    [InlineData(DhChapGroup.Ffdhe2048)]
    [InlineData(DhChapGroup.Ffdhe4096)]
    public async Task Shared_secret_is_equal_and_as_long_as_the_prime(DhChapGroup group)
    {
        var (a, b) = (await DhKeyPair.CreateAsync(group), await DhKeyPair.CreateAsync(group));
        byte[]? first = await a.AgreeAsync(b.PublicValue);
        Assert.Equal(first, await b.AgreeAsync(a.PublicValue));
        Assert.Equal((group.Length(), group.Length()), (first!.Length, a.PublicValue.Length));
        Assert.NotEqual(a.PublicValue, b.PublicValue);
    }

    [Fact]
    public async Task Public_value_outside_the_group_is_rejected()
    {
        var pair = await DhKeyPair.CreateAsync(DhChapGroup.Ffdhe2048);
        var p = new BigInteger(DhChapGroup.Ffdhe2048.Parameters()!.P.ToByteArrayUnsigned(), isUnsigned: true, isBigEndian: true);
        // the group consists of the squares modulo a safe prime; every other value is outside it
        foreach (var value in new[] { BigInteger.Zero, BigInteger.One, p - 1, p, p + 1, (BigInteger.One << 2048) - 1, p - 4 })
        {
            Assert.Null(await pair.AgreeAsync(value.ToByteArray(isUnsigned: true, isBigEndian: true)));
        }

        Assert.Null(await pair.AgreeAsync(ReadOnlyMemory<byte>.Empty));
        Assert.Null(await pair.AgreeAsync(new byte[] { 1 }.Concat(pair.PublicValue).ToArray()));
        Assert.NotNull(await pair.AgreeAsync(new byte[] { 4 }));
    }

    [Theory]
    [InlineData("", "expected DHHC-1:HH:BASE64:")]
    [InlineData("DHHC-1:00", "expected DHHC-1:HH:BASE64:")]
    [InlineData("DHHC-1:00:" + Key32, "expected DHHC-1:HH:BASE64:")]
    [InlineData("DHHC-1:00:" + Key32 + "::", "expected DHHC-1:HH:BASE64:")]
    [InlineData("DHHC-2:00:" + Key32 + ":", "expected DHHC-1:HH:BASE64:")]
    [InlineData("DHHC-1:04:" + Key32 + ":", "hash is '04'")]
    [InlineData("DHHC-1:1a:" + Key32 + ":", "hash is '1a'")]
    [InlineData("DHHC-1:00:!" + Key32 + ":", "no base64")]
    [InlineData("DHHC-1:00:" + Key64 + Key64 + ":", "no base64")]
    [InlineData("DHHC-1:00:AAECAwQFBgc=:", "4 bytes")]
    [InlineData("DHHC-1:00::", "bytes")]
    [InlineData("DHHC-1:00:BAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh+KfiaR:", "checksum")]
    public void Invalid_key_is_rejected_with_a_reason_that_does_not_repeat_the_key(string text, string why)
    {
        string message = Assert.Throws<FormatException>(() => DhChapKey.Parse(text)).Message;
        Assert.Contains(why, message, StringComparison.Ordinal);
        Assert.DoesNotContain("AAEC", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("DHHC-1:00:vHWT1vTiMACwOPNK/4HtbO8ozVjz6DuzI7U/tmt4mE6xOLJwel1+Cx9H+fDZZI/qnm2wJA==:", 48, null)]
    [InlineData("DHHC-1:01:MvdwDdT8Rl2vtBhzwnX8WkxUZV/lr6ksNukXHRjZf1TK9qMa:", 32, DhChapHash.Sha256)]
    [InlineData("DHHC-1:02:VWsKhm38S/8RU/TPTtPLgiIvhuqqjCCxPsGcQ6MFOqsE8q797IPwRnSA/zIrzmK6mixxbg==:", 48, DhChapHash.Sha384)]
    [InlineData("DHHC-1:03:vfLeHRBLxY6mNZBmXaIOf6JBpYj9M2K/IdbpG0shjqug7mVvZNu3CAX/6nNN15X98FEPuE8THmjL+sRRfyYi6LLPK/k=:", 64,
        DhChapHash.Sha512)]
    public void Keys_of_nvme_cli_survive_a_round_trip(string text, int length, DhChapHash? hash)
    {
        var key = DhChapKey.Parse(text);
        Assert.Equal((length, hash, text), (key.Length, key.Hash, key.Export()));
        Assert.DoesNotContain(text[10..20], key.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Generated_keys_parse_and_differ()
    {
        foreach (var (length, hash) in new (
            int, DhChapHash?)[] { (32, null), (48, null), (64, null), (32, DhChapHash.Sha256), (64, DhChapHash.Sha512) })
        {
            string one = DhChapKey.Generate(length, hash, "nqn.a").Export(), two = DhChapKey.Generate(length, hash, null).Export();
            Assert.NotEqual(one, two);
            Assert.Equal((length, hash), (DhChapKey.Parse(one).Length, DhChapKey.Parse(two).Hash));
        }
    }

    [Fact]
    public void Sequence_numbers_increase_and_are_never_zero()
    {
        uint[] some = [.. Enumerable.Range(0, 1000).Select(_ => ChapResponse.NextSequence())];
        Assert.Equal(some.Length, some.Distinct().Count());
        Assert.DoesNotContain(0u, some);
    }

    private static string Hex(byte[] bytes) => Convert.ToHexString(bytes).ToLower(CultureInfo.InvariantCulture);
}
