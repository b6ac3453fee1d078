using System.Text;
using Paddock.Block;
using Paddock.Crypto.Luks;
using Paddock.Qcow2;
using Paddock.Testing;

namespace Paddock.Sim;

/// <summary>
/// Stores and erases LUKS key slots of an image, and cuts power at every moment. Afterwards a slot opens with the passphrase that it had
/// before the change in flight or has after it, or with none; every other slot opens with its own, and the disk is as it was.
/// </summary>
internal sealed class KeyCutRun(int seed, SimOptions options) : SimRun(seed, options)
{
    private const int Sector = SectorPattern.Sector, MaxCuts = 60, Slots = 4;

    private readonly List<Change> _changes = [];
    private ImageRecipe _recipe = null!;
    private int _passphrases;

    /// <inheritdoc/>
    protected override async Task RunAsync(SimContext context)
    {
        do
        {
            _recipe = (await ImageRecipe.MakeAsync(Random, Options.Extended, 512, 4096, 65536)).Encrypted(Random);
        }
        while (_recipe.Create.OldAesEncryption || _recipe.Create.LazyRefcounts || _recipe.Backing is not null);

        Trace(_recipe.ToString());
        var disks = new CrashPair(await _recipe.BuildAsync(), null);
        await using (var device = await _recipe.OpenAsync(disks.Image))
        {
            await device.WriteAsync(0, SectorPattern.Make(0, Sector, 1));
            await device.FlushAsync();
            await ChangeAsync(disks, ((IQcow2Device)device).Info.Luks!);
        }

        await CheckAsync(disks.Image.Live, leaksAllowed: false, "after the run");
        await CutAsync(disks, MaxCuts, 1, (image, _, position) => TryCutAsync(image, position));
    }

    private async Task ChangeAsync(CrashPair disks, LuksVolume volume)
    {
        var key = await volume.UnlockAsync(Encryption.Passphrase);
        var now = new string?[Slots];
        for (int i = 0; i < 4; i++)
        {
            // slot 0 keeps the passphrase of the run
            int slot = Random.Next(1, Slots);
            string? next = now[slot] is not null && Random.Next(2) == 0 ? null : $"passphrase {_passphrases++}";
            int from = disks.Position;
            Trace($"slot {slot}: {now[slot]} to {next} at log {from}");
            await (next is null ? volume.EraseAsync(slot) : volume.StoreAsync(slot, key, Bytes(next), TimeSpan.Zero));
            _changes.Add(new Change(slot, now[slot], next, from, disks.Position));
            now[slot] = next;
        }
    }

    private async Task TryCutAsync(PagedStorage image, int position)
    {
        await CheckAsync(image, leaksAllowed: true, "after the cut");
        await using var device = await _recipe.OpenAsync(image);
        var sector = new byte[Sector];
        await device.ReadAsync(0, sector);
        bool mayBeOld = _changes[0].From > position;
        SimFailure.Unless(SectorPattern.Identify(sector, 0) == 1 || mayBeOld, "the disk is another after a change of its key slots");
        var volume = ((IQcow2Device)device).Info.Luks!;
        int slot = Random.Next(1, Slots);
        if (_changes.Find(c => c.From < position && position < c.By) is { } inFlight)
        {
            slot = inFlight.Slot;
            bool opens = await OpensAsync(volume, slot, inFlight.Old) || await OpensAsync(volume, slot, inFlight.Next);
            SimFailure.Unless(opens || !volume.Header.Slots[slot].IsActive, $"slot {slot} is active and opens with neither passphrase");
        }
        else
        {
            string? passphrase = _changes.FindLast(c => c.Slot == slot && c.By <= position)?.Next;
            SimFailure.Unless(
                passphrase is null ? !volume.Header.Slots[slot].IsActive : await OpensAsync(volume, slot, passphrase),
                $"slot {slot} is not the one of '{passphrase}'");
        }

        var key = await volume.UnlockAsync(Encryption.Passphrase);
        await volume.StoreAsync(slot, key, Bytes("again"), TimeSpan.Zero);
        SimFailure.Unless(await OpensAsync(volume, slot, "again"), $"slot {slot} cannot be stored after the cut");
    }

    private static async Task<bool> OpensAsync(LuksVolume volume, int slot, string? passphrase)
        => passphrase is not null && await volume.TryUnlockAsync(slot, Bytes(passphrase)) is not null;

    private static byte[] Bytes(string passphrase) => Encoding.UTF8.GetBytes(passphrase);

    /// <summary>A change of a slot.</summary>
    private sealed record Change(int Slot, string? Old, string? Next, int From, int By);
}
