using Paddock.Testing;

namespace Paddock.Sim.Ceph;

/// <summary>
/// A Ceph cluster with one image: OSDs that hold its objects, and the monitor's blocklist. Each OSD learns the blocklist in its own time,
/// or from the first request of a client that knows it; from then on it rejects the clients on it. An acknowledged change is durable.
/// </summary>
internal sealed class SimCluster
{
    private const long WatchTimeout = 30 * VirtualTime.Second;

    private readonly VirtualTime _time;
    private readonly Random _random;
    private readonly int[] _epochs;
    private readonly Dictionary<int, int> _blocklist = [];
    private readonly Dictionary<long, int> _touched = [];
    private readonly Dictionary<int, ClusterClient> _opened = [];
    private int _clients;

    /// <param name="time">Time of the simulation.</param>
    /// <param name="random">Source of all random choices.</param>
    /// <param name="image">Contents of the image.</param>
    public SimCluster(VirtualTime time, Random random, PagedStorage image)
    {
        (_time, _random) = (time, random);
        Content = image.Clone("rbd");
        ObjectSize = 4096 << random.Next(5);
        _epochs = new int[random.Next(1, 5)];
    }

    /// <summary>Bytes of an object.</summary>
    public int ObjectSize { get; }

    /// <summary>The image as it is stored; its length is in the header object.</summary>
    public PagedStorage Content { get; }

    /// <summary>OSD of the header object, which has the lock.</summary>
    public static int HeaderOsd => 0;

    /// <summary>Version of the blocklist.</summary>
    public int Epoch { get; private set; } = 1;

    /// <summary>The object that owners watch.</summary>
    public OwnerCell OwnerCell { get; } = new();

    /// <summary>OSD of the object that owners watch.</summary>
    public int OwnerOsd => _epochs.Length - 1;

    /// <summary>The owner that has begun its lease last.</summary>
    public int Current { get; private set; }

    /// <summary>Client that has the exclusive lock; 0: none.</summary>
    public int Owner { get; private set; }

    /// <summary>Counts the owners so far.</summary>
    public int Generation { get; private set; }

    /// <summary>Number of the next client.</summary>
    public int NextClient() => ++_clients;

    /// <summary>OSD of an object.</summary>
    public int OsdOf(long index) => (int)((index * 7 % 5) % _epochs.Length);

    /// <summary>Whether an OSD accepts a request, from which it may learn the blocklist.</summary>
    public bool Admits(int osd, int client, int epoch)
    {
        Learn(osd, epoch);
        return !_blocklist.TryGetValue(client, out int fenced) || fenced > _epochs[osd];
    }

    /// <summary>Records a request of an owner for an object.</summary>
    /// <exception cref="SimFailure">A later owner has used the object already: there are two owners.</exception>
    public void Touch(long index, int generation)
    {
        int latest = _touched.GetValueOrDefault(index);
        bool isOwner = generation == 0 || generation >= latest;
        SimFailure.Unless(isOwner, $"two owners: owner {generation} reaches object {index}, which owner {latest} has used");
        _touched[index] = Math.Max(latest, generation);
    }

    /// <summary>The monitor puts a client on the blocklist. OSDs learn it later.</summary>
    /// <returns>The epoch from which a client is rejected.</returns>
    public int Block(int client)
    {
        if (!_blocklist.TryGetValue(client, out int fenced))
        {
            _blocklist[client] = fenced = ++Epoch;
            for (int i = 0; i < _epochs.Length; i++)
            {
                int osd = i;
                _time.After(_random.NextInt64(2 * VirtualTime.Second), null, () => Learn(osd, fenced));
            }
        }

        return fenced;
    }

    /// <summary>Gives the lock to a client, if nobody has it.</summary>
    /// <returns>The number of this owner; 0: another client has the lock.</returns>
    public int TryLock(int client)
    {
        if (Owner != 0)
        {
            return 0;
        }

        Owner = client;
        return ++Generation;
    }

    /// <summary>Takes the lock from a client, if it has it.</summary>
    public bool Unlock(int client)
    {
        bool isOwner = Owner == client;
        Owner = isOwner ? 0 : Owner;
        return isOwner;
    }

    /// <summary>Somebody removes the lock by hand, as <c>rbd lock rm</c> does: its client is put on the blocklist first.</summary>
    public void Rob()
    {
        if (Owner != 0)
        {
            Learn(HeaderOsd, Block(Owner));
            Owner = 0;
        }
    }

    /// <summary>A client opens the image: it watches the header.</summary>
    public void Open(ClusterClient client) => _opened[client.Id] = client;

    /// <summary>
    /// Whether a client has the image open, as far as the cluster knows: the watch of one that is dead ends after 30 seconds.
    /// </summary>
    public bool IsSeen(int client)
        => _opened.TryGetValue(client, out var opened) && (opened.Process.Died is not { } died || _time.Now < died + WatchTimeout);

    /// <summary>An owner is certain that no other client believes to be the owner.</summary>
    public void Begin(int generation) => Current = Math.Max(Current, generation);

    private void Learn(int osd, int epoch)
    {
        if (epoch <= _epochs[osd])
        {
            return;
        }

        _epochs[osd] = epoch;
        if (osd == OwnerOsd)
        {
            OwnerCell.End(client => _blocklist.TryGetValue(client.Id, out int fenced) && fenced <= epoch);
        }
    }
}
