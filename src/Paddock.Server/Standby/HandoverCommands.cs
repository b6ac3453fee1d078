using System.Globalization;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Server.Control;
using Paddock.Server.Disks;
using Paddock.Server.Resize;

namespace Paddock.Server.Standby;

/// <summary>Hands images over to another server on request.</summary>
/// <param name="owners">The images whose owner may change.</param>
/// <param name="disks">All images.</param>
/// <param name="limit">Time for the requests in flight of each image.</param>
internal sealed class HandoverCommands(IReadOnlyList<DiskOwnership> owners, IReadOnlyList<ServedDisk> disks, TimeSpan limit)
{
    // a flush takes some time, also where nothing may delay the end of the server
    private static readonly TimeSpan Least = TimeSpan.FromSeconds(1);

    /// <summary>Executes a command line: returns when the images have been released.</summary>
    /// <exception cref="ToolException">No image is owned, or one could not be handed over; it is then served as before.</exception>
    public async Task<ControlAnswer> RunAsync(HandoverLine line)
    {
        var chosen = line.Image is null ? All() : [Of(ResizeCommands.Find(disks, line.Image))];
        var done = new List<(string Name, double Milliseconds)>();
        var failures = new List<string>();
        foreach (var owner in chosen)
        {
            try
            {
                done.Add((owner.Disk.Name, Math.Round((await owner.HandOverAsync(limit > Least ? limit : Least)).TotalMilliseconds, 1)));
            }
            catch (ToolException e)
            {
                failures.Add(e.Message);
            }
        }

        string text = done.Count == 0 ? "" : "handed over " + string.Join(", ", done.Select(
            d => string.Create(CultureInfo.InvariantCulture, $"{d.Name} in {d.Milliseconds:0.#} ms")));
        return failures.Count > 0
            ? throw new ToolException(string.Join("; ", failures) + (text.Length > 0 ? "; " + text : ""))
            : new(text, new JsonFields
            {
                {
                    "images", done.Select(static d => (object?)new JsonFields { { "image", d.Name }, { "ms", d.Milliseconds } }).ToList()
                },
            });
    }

    private DiskOwnership Of(ServedDisk disk)
        => owners.FirstOrDefault(o => o.Disk == disk) ?? throw new ToolException(
            disk.Settings.ReadOnly ? $"'{disk.Name}' is served read-only: it has no owner"
                : $"'{disk.Name}' cannot be handed over: start the server with --standby");

    private DiskOwnership[] All()
    {
        var active = owners.Where(o => o.Disk.State == DiskState.Active).ToArray();
        return active.Length > 0 ? active
            : throw new ToolException(owners.Count == 0 ? "the server has no image that can be handed over: start it with --standby"
                : "no image is owned by this server: " + string.Join(", ", owners.Select(Describe)));
    }

    private static string Describe(DiskOwnership owner)
        => $"'{owner.Disk.Name}' is {DiskStateNames.PhraseOf(owner.Disk.State)}"
            + (owner.Owner is { } name ? $", owned by {name}" : "");
}
