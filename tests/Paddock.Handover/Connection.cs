using Paddock.Block;
using Paddock.Images;

namespace Paddock.Handover;

/// <summary>The namespaces, through one server without a reconnect, where whatever fails, fails; or through both servers.</summary>
/// <param name="Node">The server; null: both.</param>
/// <param name="Start">Which start of it.</param>
/// <param name="Plain">The conventional zones.</param>
/// <param name="Zoned">The sequential zones.</param>
internal sealed record Connection(ServerNode? Node, int Start, IBlockDevice Plain, IBlockDevice Zoned)
{
    /// <summary>Connects, and reads a block of each namespace.</summary>
    /// <exception cref="Exception">The server does not serve the image.</exception>
    public static Task<Connection> OpenAsync(ServerNode node, TimeSpan limit)
        => OpenAsync(node, $"127.0.0.1:{node.Port}", "&reconnect=0", limit);

    /// <summary>Connects to all servers, and reads a block of each namespace from the active one.</summary>
    /// <exception cref="Exception">No server serves the image within the limit.</exception>
    public static Task<Connection> OpenAsync(IEnumerable<ServerNode> nodes, TimeSpan limit)
        => OpenAsync(null, string.Join(',', nodes.Select(static n => $"127.0.0.1:{n.Port}")), "", limit);

    /// <summary>Closes it in the background: a server that is stopped answers nothing.</summary>
    public void Close() => Close([Plain, Zoned]);

    private static async Task<Connection> OpenAsync(ServerNode? node, string addresses, string options, TimeSpan limit)
    {
        using var time = new CancellationTokenSource(limit);
        int start = node?.Starts ?? 0;
        var opening = Enumerable.Range(1, 2)
            .Select(ns => OpenAsync($"nvme+tcp://{addresses}/{Lane.Nqn}?ns={ns}{options}", time.Token)).ToArray();
        try
        {
            var opened = await Task.WhenAll(opening).WaitAsync(limit);
            return new Connection(node, start, opened[0], opened[1]);
        }
        catch
        {
            foreach (var one in opening)
            {
                _ = one.ContinueWith(static o => Close([o.Result]), CancellationToken.None, TaskContinuationOptions.OnlyOnRanToCompletion,
                    TaskScheduler.Default);
            }

            throw;
        }
    }

    private static async Task<IBlockDevice> OpenAsync(string name, CancellationToken stop)
    {
        var disk = await Disk.OpenAsync(name, new DiskOptions { Format = "raw" }, stop);
        try
        {
            await disk.ReadAsync(0, new byte[Pattern.Block], stop).AsTask().WaitAsync(stop);
            return disk;
        }
        catch
        {
            Close([disk]);
            throw;
        }
    }

    private static void Close(IEnumerable<IBlockDevice> devices)
    {
        foreach (var device in devices)
        {
            _ = Task.Run(async () =>
            {
                try
                {
                    await device.DisposeAsync();
                }
                catch (IOException)
                {
                    // the connection is lost
                }
            });
        }
    }
}
