namespace Paddock.Sim.Ceph;

/// <summary>What happens to servers: each at a random step of its process, and often to two at once.</summary>
/// <param name="time">Time of the simulation.</param>
/// <param name="cluster">The cluster.</param>
/// <param name="random">Source of all random choices.</param>
/// <param name="start">Starts a server.</param>
/// <param name="trace">Records what happens.</param>
internal sealed class HandoverFaults(VirtualTime time, SimCluster cluster, Random random, Action start, Action<string> trace)
{
    /// <summary>Something happens to the owner, or to those that wait.</summary>
    /// <param name="servers">All servers, dead ones too.</param>
    /// <param name="owner">The owner; null: none was ever seen.</param>
    public void Happen(IReadOnlyList<SimServer> servers, SimServer? owner)
    {
        var others = servers.Where(server => server != owner && !server.Process.IsDead).ToArray();
        var other = others.Length == 0 ? null : others[random.Next(others.Length)];
        if (owner is not null)
        {
            switch (random.Next(11))
            {
                case 10:
                    At(owner, "loses its lock by hand", cluster.Rob);
                    break;
                case < 3:
                    At(owner, "hands over", owner.HandOver);
                    break;
                case < 6:
                    Kill(owner);
                    break;
                default:
                    Break(owner);
                    break;
            }

            if (random.Next(5) == 0)
            {
                Break(owner);
            }
        }

        if (other is not null && random.Next(4) == 0)
        {
            Break(other);
        }
    }

    /// <summary>Ends all faults but deaths.</summary>
    public static void EndAll(IReadOnlyList<SimServer> servers)
    {
        foreach (var server in servers)
        {
            server.Process.CancelInterruptions();
            server.Process.Resume();
            server.Process.IsDeaf = false;
            foreach (var link in (SimLink[])[server.Storage, server.Clients])
            {
                link.IsCut = false;
                link.Slowness = 1;
            }
        }
    }

    private void Break(SimServer server)
    {
        // from 50 ms to 25 s
        long duration = (50 * VirtualTime.Millisecond << random.Next(9)) + random.NextInt64(50 * VirtualTime.Millisecond);
        var link = random.Next(3) == 0 ? server.Clients : server.Storage;
        switch (random.Next(9))
        {
            case 0:
                Kill(server);
                break;
            case 8:
                At(server, $"hears no notifications for {duration} us", () =>
                {
                    server.Process.IsDeaf = true;
                    time.After(duration, null, () => server.Process.IsDeaf = false);
                });
                break;
            case < 4:
                At(server, $"is stopped for {duration} us", () =>
                {
                    server.Process.Stop();
                    time.After(duration, null, server.Process.Resume);
                });
                break;
            case < 7:
                At(server, $"is cut off from the {(link == server.Clients ? "clients" : "cluster")} for {duration} us", () =>
                {
                    link.IsCut = true;
                    time.After(duration, null, () => link.IsCut = false);
                });
                break;
            default:
                At(server, $"is slow for {duration} us", () =>
                {
                    link.Slowness = random.Next(5, 100);
                    time.After(duration, null, () => link.Slowness = 1);
                });
                break;
        }
    }

    private void Kill(SimServer server) => At(server, "is killed", () =>
    {
        if (!server.Process.IsDead)
        {
            server.Process.Kill();
            time.After(random.NextInt64(5 * VirtualTime.Second), null, start);
        }
    });

    private void At(SimServer server, string what, Action action)
        => server.Process.Interrupt(1 + (random.Next(8) << random.Next(8)), () =>
        {
            trace($"{server.Process.Name} {what}");
            action();
        });
}
