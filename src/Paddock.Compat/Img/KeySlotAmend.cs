using System.Security.Cryptography;
using Paddock.Crypto.Luks;
using Paddock.Images;
using Paddock.Images.Nodes;

namespace Paddock.Compat.Img;

/// <summary>Changes of the key slots of a LUKS disk by <c>amend</c>, with the refusals of qemu-img.</summary>
/// <param name="volume">The open LUKS header.</param>
/// <param name="prefix">What the options begin with: <c>encrypt.</c> for qcow2, nothing for luks.</param>
/// <param name="options">The options by their names, of the right types.</param>
/// <param name="objects">Objects with the passphrases.</param>
/// <param name="force">Whether active slots may be overwritten, and the last one erased.</param>
internal sealed class KeySlotAmend(
    LuksVolume volume, string prefix, IReadOnlyDictionary<string, string> options, IReadOnlyList<string> objects, bool force)
{
    private const int Last = LuksHeader.SlotCount - 1;
    private static readonly TimeSpan DefaultTime = TimeSpan.FromSeconds(2);

    /// <summary>Names of the options, without prefix.</summary>
    public static IReadOnlyList<string> Names { get; } = ["state", "keyslot", "old-secret", "new-secret", "iter-time"];

    private LuksHeader Header => volume.Header;

    /// <summary>Makes the change.</summary>
    /// <param name="openSecret">The secret with which the disk was opened.</param>
    /// <exception cref="ToolException">The change is refused.</exception>
    public async ValueTask RunAsync(string openSecret)
    {
        switch (Find("state"))
        {
            case null:
                throw new ToolException("Parameter 'state' is missing");
            case "active":
                await ActivateAsync(openSecret);
                break;
            case "inactive":
                await EraseAsync();
                break;
            case var other:
                throw new ToolException($"Parameter 'state' does not accept value '{other}'");
        }
    }

    private async ValueTask ActivateAsync(string openSecret)
    {
        string newSecret = Find("new-secret") ?? throw new ToolException("'new-secret' is required to activate a keyslot");
        Refuse(Find("old-secret") is not null, "'old-secret' must not be given when activating keyslots");
        int slot = Slot() ?? Array.FindIndex(Header.Slots, static s => !s.IsActive);
        Refuse(slot < 0, "Can't add a keyslot - all keyslots are in use");
        Refuse(
            !force && Header.Slots[slot].IsActive, $"Refusing to overwrite active keyslot {slot} - please erase it first");
        var key = await volume.UnlockAsync(SecretObjects.Passphrase(objects, openSecret));
        var time = Find("iter-time") is { } text ? TimeSpan.FromMilliseconds(Math.Min(Number(text), int.MaxValue)) : DefaultTime;
        await volume.StoreAsync(slot, key, SecretObjects.Passphrase(objects, newSecret), time);
        CryptographicOperations.ZeroMemory(key);
    }

    private async ValueTask EraseAsync()
    {
        Refuse(Find("new-secret") is not null, "'new-secret' must not be given when erasing keyslots");
        Refuse(Find("iter-time") is not null, "'iter-time' must not be given when erasing keyslots");
        var old = Find("old-secret") is { } id ? SecretObjects.Passphrase(objects, id) : null;
        int active = Header.Slots.Count(static s => s.IsActive);
        if (Slot() is { } slot)
        {
            Refuse(
                old is not null && !await MatchesAsync(slot, old),
                $"Given keyslot {slot} doesn't contain the given old password for erase operation");
            Refuse(!force && !Header.Slots[slot].IsActive, $"Given keyslot {slot} is already erased (inactive) ");
            Refuse(
                !force && active == 1,
                $"Attempt to erase the only active keyslot {slot} which will erase all the data in the image irreversibly - refusing "
                    + "operation");
            await volume.EraseAsync(slot);
            return;
        }

        Refuse(
            old is null,
            "To erase keyslot(s), either explicit keyslot index or the password currently contained in them must be given");
        var slots = new List<int>();
        for (int i = 0; i <= Last; i++)
        {
            if (await MatchesAsync(i, old!))
            {
                slots.Add(i);
            }
        }

        Refuse(slots.Count == 0, "No keyslots match given (old) password for erase operation");
        Refuse(
            !force && slots.Count == active,
            "All the active keyslots match the (old) password that was given and erasing them will erase all the data in the image "
                + "irreversibly - refusing operation");
        foreach (int match in slots)
        {
            await volume.EraseAsync(match);
        }
    }

    private async ValueTask<bool> MatchesAsync(int slot, byte[] passphrase)
    {
        var key = await volume.TryUnlockAsync(slot, passphrase);
        CryptographicOperations.ZeroMemory(key);
        return key is not null;
    }

    private int? Slot()
    {
        if (Find("keyslot") is not { } text)
        {
            return null;
        }

        long slot = Number(text);
        return slot is >= 0 and <= Last ? (int)slot
            : throw new ToolException($"Invalid keyslot {slot} specified, must be between 0 and {Last}");
    }

    private string? Find(string name) => options.GetValueOrDefault(prefix + name);

    private static long Number(string text) => unchecked((long)FormatOption.NumberOf(text));

    private static void Refuse(bool bad, string message)
    {
        if (bad)
        {
            throw new ToolException(message);
        }
    }
}
