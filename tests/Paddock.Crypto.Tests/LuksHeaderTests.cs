using System.Buffers.Binary;
using Paddock.Block;
using Paddock.Crypto.Luks;

namespace Paddock.Crypto.Tests;

/// <summary>Headers that contradict themselves, and key slots that a crash interrupts.</summary>
public class LuksHeaderTests
{
    private static readonly byte[] Passphrase = "open sesame"u8.ToArray();

    public static TheoryData<int, uint, string> Faults => new()
    {
        { 0, 0, "Volume is not in LUKS format" },
        { 4, 0xbabe0002, "LUKS version 2 is not supported" },
        { 104, 7, "LUKS payload is overlapping with the header" },
        { 104, 4000, "Keyslot 7 is overlapping with the encrypted payload" },
        { 164, 0, "LUKS key iteration count is zero" },
        { 108, 63, "Algorithm 'aes' with key size 31 bytes not supported" },
        { 108, uint.MaxValue, "Keyslot 0 is overlapping with the encrypted payload" },
        { 208, 1, "Keyslot 0 state (active/disable) is corrupted" },
        { 208 + 4, 0, "Keyslot 0 iteration count is zero" },
        { 208 + 40, 7, "Keyslot 0 is overlapping with the LUKS header" },
        { 208 + 40, 9, "Keyslots 0 and 1 are overlapping in the header" },
        { 208 + 40, uint.MaxValue, "Keyslot 0 is overlapping with the encrypted payload" },
        { 208 + 44, 1, "Keyslot 0 is corrupted (stripes 1 != 4000)" },
        { 208 + 48 + 44, uint.MaxValue, "Keyslot 1 is corrupted (stripes -1 != 4000)" },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task Contradiction_is_a_typed_error(int offset, uint value, string message)
    {
        var (storage, _) = await NewAsync();
        var bytes = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        await storage.WriteAsync(offset, bytes, TestContext.Current.CancellationToken);
        var error = await Assert.ThrowsAsync<BlockException>(async () => await LuksVolume.OpenAsync(new LuksArea(storage)));
        Assert.Equal(message, error.Message);
    }

    [Theory]
    [InlineData(8, "LUKS header cipher name is not NUL terminated")]
    [InlineData(40, "LUKS header cipher mode is not NUL terminated")]
    [InlineData(72, "LUKS header hash spec is not NUL terminated")]
    public async Task Name_without_an_end_is_a_typed_error(int offset, string message)
    {
        var (storage, _) = await NewAsync();
        await storage.WriteAsync(offset, "abcdefghijklmnopqrstuvwxyz012345"u8.ToArray(), TestContext.Current.CancellationToken);
        var error = await Assert.ThrowsAsync<BlockException>(async () => await LuksVolume.OpenAsync(new LuksArea(storage)));
        Assert.Equal(message, error.Message);
    }

    [Fact]
    public async Task Huge_iteration_counts_are_rejected_before_any_is_done()
    {
        var (storage, _) = await NewAsync();
        await storage.WriteAsync(208 + 4, new byte[] { 255, 255, 255, 255 }, TestContext.Current.CancellationToken);
        var volume = await LuksVolume.OpenAsync(new LuksArea(storage), cancellationToken: TestContext.Current.CancellationToken);
        var error = await Assert.ThrowsAsync<BlockException>(async () => await volume.UnlockAsync(Passphrase));
        Assert.Equal(BlockError.NotSupported, error.Error);
        Assert.Contains("PBKDF2 iterations to try, more than the limit of 268435456", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Header_larger_than_its_area_is_rejected()
    {
        var (storage, volume) = await NewAsync();
        var error = await Assert.ThrowsAsync<BlockException>(
            async () => await (await LuksVolume.OpenAsync(new LuksArea(storage, 0, 8192))).UnlockAsync(Passphrase));
        Assert.Contains("outside the 8192 bytes", error.Message, StringComparison.Ordinal);
        Assert.Equal(64u, volume.Header.KeyBytes);
    }

    [Fact]
    public async Task Slots_are_filled_erased_and_found_by_passphrase()
    {
        var (storage, volume) = await NewAsync();
        var key = await volume.UnlockAsync(Passphrase, TestContext.Current.CancellationToken);
        for (int i = 1; i < 8; i++)
        {
            await volume.StoreAsync(i, key, new[] { (byte)i }, TimeSpan.FromMilliseconds(1), TestContext.Current.CancellationToken);
        }

        await volume.EraseAsync(0, TestContext.Current.CancellationToken);
        var again = await LuksVolume.OpenAsync(new LuksArea(storage), cancellationToken: TestContext.Current.CancellationToken);
        await Assert.ThrowsAsync<BlockException>(async () => await again.UnlockAsync(Passphrase));
        Assert.Null(await again.TryUnlockAsync(3, new byte[] { 4 }, TestContext.Current.CancellationToken));
        Assert.Equal(key, await again.TryUnlockAsync(3, new byte[] { 3 }, TestContext.Current.CancellationToken));
        Assert.Equal(key, await again.UnlockAsync(new byte[] { 7 }, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Random_headers_never_crash()
    {
        var (storage, _) = await NewAsync();
        var good = new byte[LuksHeader.Size];
        await storage.ReadAsync(0, good, TestContext.Current.CancellationToken);
        int seed = TestSeed.Next();
        var random = new Random(seed);
        int valid = 0, invalid = 0;
        for (int i = 0; i < 20_000; i++)
        {
            var bytes = (byte[])good.Clone();
            for (int changes = random.Next(1, 4); changes > 0; changes--)
            {
                int at = random.Next(bytes.Length - 4);
                BinaryPrimitives.WriteInt32BigEndian(
                    bytes.AsSpan(at), random.Next(3) switch { 0 => 0, 1 => -1, _ => random.Next(int.MinValue, int.MaxValue) });
            }

            try
            {
                _ = LuksHeader.Parse(bytes).Cipher.KeyBytes;
                valid++;
            }
            catch (BlockException)
            {
                invalid++;
            }
        }

        Assert.True(valid > 0 && invalid > 0);
    }

    private static async Task<(MemoryStorage Storage, LuksVolume Volume)> NewAsync()
    {
        var storage = new MemoryStorage("luks");
        var volume = await LuksFormat.WriteAsync(
            new LuksArea(storage), new LuksOptions { Passphrase = Passphrase, IterationTime = TimeSpan.FromMilliseconds(1) });
        return (storage, volume);
    }
}
