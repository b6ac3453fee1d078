namespace Paddock.Sim.Ceph;

/// <summary>
/// The network between a process and its peers. Messages take their time and overtake each other; while it is cut, they wait.
/// </summary>
/// <param name="time">Time of the simulation.</param>
/// <param name="random">Source of all random choices.</param>
internal sealed class SimLink(VirtualTime time, Random random)
{
    private readonly List<(SimProcess? To, Action Deliver)> _waiting = [];
    private bool _isCut;

    /// <summary>Factor of all delays.</summary>
    public int Slowness { get; set; } = 1;

    /// <summary>Whether nothing is delivered.</summary>
    public bool IsCut
    {
        get => _isCut;
        set
        {
            _isCut = value;
            if (!value)
            {
                _waiting.ForEach(message => Send(message.To, message.Deliver));
                _waiting.Clear();
            }
        }
    }

    /// <summary>Sends a message.</summary>
    /// <param name="to">Process that receives it; null: part of the world.</param>
    /// <param name="deliver">What the receiver does with it.</param>
    public void Send(SimProcess? to, Action deliver) => time.After(Delay() * Slowness, null, () =>
    {
        if (_isCut)
        {
            _waiting.Add((to, deliver));
        }
        else if (to is null)
        {
            deliver();
        }
        else
        {
            time.Post(to, static state => ((Action)state!)(), deliver);
        }
    });

    private long Delay() => random.Next(200) switch
    {
        0 => random.NextInt64(3 * VirtualTime.Second),
        < 12 => random.NextInt64(20 * VirtualTime.Millisecond),
        _ => 50 + random.NextInt64(VirtualTime.Millisecond),
    };
}
