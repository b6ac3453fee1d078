using Paddock.Block;

namespace Paddock.Sim.Ceph;

/// <summary>
/// The owner's side of ownership: asks the cluster again and again whether the lock is its own. An answer is good for a lease that began
/// when the question was sent; between leases nothing is answered to clients.
/// </summary>
/// <param name="client">The client, which has the lock.</param>
/// <param name="asked">When it asked for the lock.</param>
internal sealed class OwnerLease(ClusterClient client, long asked)
{
    /// <summary>How long an answer is good for, in microseconds.</summary>
    public const long Length = 1500 * VirtualTime.Millisecond;

    private const long Period = 400 * VirtualTime.Millisecond;

    private long _confirmed = asked;
    private TaskCompletionSource _next = new();

    /// <summary>Whether nobody else can be the owner now.</summary>
    public bool IsValid => client.LossReason is null && client.Process.Time.Now < _confirmed + Length;

    /// <summary>Keeps the lease until the lock is lost or released.</summary>
    /// <param name="end">Completes when the lock is to be released.</param>
    public async Task KeepAsync(Task end)
    {
        var cluster = client.Cluster;
        cluster.Watch(client);
        while (client.LossReason is null && !end.IsCompleted)
        {
            long sent = client.Process.Time.Now;
            try
            {
                if (!await client.CallAsync(cluster.HeaderOsd, () => cluster.Owner == client.Id) && !end.IsCompleted)
                {
                    client.Lose("lock broken");
                }
            }
            catch (BlockException)
            {
                // the client knows that it is on the blocklist
            }

            _confirmed = sent;
            var next = _next;
            _next = new TaskCompletionSource();
            next.SetResult();
            await client.Process.DelayAsync(Math.Max(0, sent + Period - client.Process.Time.Now));
        }
    }

    /// <summary>Waits until the lease is valid.</summary>
    /// <exception cref="BlockException">The lock is lost.</exception>
    public async ValueTask ConfirmAsync()
    {
        while (!IsValid)
        {
            if (client.LossReason is not null)
            {
                throw client.Failure();
            }

            await Task.WhenAny(_next.Task, client.Lost);
        }
    }
}
