namespace Paddock.Nvme.Pcie;

/// <summary>
/// Lets one thread, the worker, access the host's memory and raise interrupts; other threads end or pause that. Entering costs next to
/// nothing: who closes the gate pays with a barrier in every thread.
/// </summary>
/// <param name="memory">The memory; accesses that wait for its host fail when the gate closes, since the host may wait for that.</param>
internal sealed class DmaGate(IDeviceMemory memory)
{
    private volatile bool _inside, _paused, _closed;

    /// <summary>Whether the gate is closed; it never opens again.</summary>
    public bool IsClosed => _closed;

    /// <summary>Whether the gate is paused: accesses must wait.</summary>
    public bool IsPaused => _paused;

    /// <summary>Begins accesses.</summary>
    /// <returns>False when the gate is closed or paused.</returns>
    public bool TryEnter()
    {
        _inside = true;
        if (_closed || _paused)
        {
            _inside = false;
            return false;
        }

        return true;
    }

    /// <summary>Ends accesses.</summary>
    public void Leave() => _inside = false;

    /// <summary>Closes the gate from the thread that uses it.</summary>
    public void CloseOwn() => _closed = true;

    /// <summary>Closes the gate, and waits until no access is in progress.</summary>
    public void Close()
    {
        _closed = true;
        Settle();
    }

    /// <summary>Pauses the gate, which waits as <see cref="Close"/> does, or resumes it.</summary>
    public void Pause(bool paused)
    {
        _paused = paused;
        if (paused)
        {
            Settle();
        }
    }

    private void Settle()
    {
        memory.Stop();
        Interlocked.MemoryBarrierProcessWide();
        var spinner = default(SpinWait);
        while (_inside)
        {
            spinner.SpinOnce();
        }

        memory.Resume();
    }
}
