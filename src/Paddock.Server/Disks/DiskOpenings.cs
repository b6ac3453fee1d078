namespace Paddock.Server.Disks;

/// <summary>Opens disks in order, some ahead of their turn: images in a cluster spend their time waiting for it.</summary>
/// <param name="count">Number of disks.</param>
/// <param name="ahead">Most that are being opened at the same time.</param>
/// <param name="open">Opens the disk with a number from 0.</param>
internal sealed class DiskOpenings(int count, int ahead, Func<int, Task<ServedDisk>> open)
{
    /// <summary>The disks in order. When one fails, or the enumeration ends early, those that were opened ahead are closed.</summary>
    public async IAsyncEnumerable<ServedDisk> RunAsync()
    {
        var opening = new Queue<Task<ServedDisk>>();
        try
        {
            for (int next = 0; next < count || opening.Count > 0;)
            {
                while (next < count && opening.Count < ahead)
                {
                    opening.Enqueue(open(next++));
                }

                yield return await opening.Dequeue();
            }
        }
        finally
        {
            foreach (var rest in opening)
            {
                await CloseAsync(rest);
            }
        }
    }

    private static async Task CloseAsync(Task<ServedDisk> opening)
    {
        try
        {
            await (await opening).CloseAsync();
        }
        catch (Exception)
        {
            // the first failure is the one to report
        }
    }
}
