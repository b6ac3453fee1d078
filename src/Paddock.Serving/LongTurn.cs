using System.Runtime.CompilerServices;
using Paddock.Block;

namespace Paddock.Serving;

/// <summary>A long request's right to run a piece; awaited between two pieces.</summary>
/// <remarks>
/// The object is its own awaiter, and queues only once its continuation is known: the next piece always runs on a thread of <see
/// cref="LongWork"/>, never inline on the thread that completed the last one.
/// </remarks>
internal sealed class LongTurn : ICriticalNotifyCompletion
{
    private readonly LongWorkClient _client;
    private Action? _next;
    private bool _failed;

    internal LongTurn(LongWorkClient client) => _client = client;

    /// <summary>Always false: each wait lets the other clients run first.</summary>
    public bool IsCompleted => false;

    internal bool HasTurn { get; set; }

    internal bool HasBegun { get; set; }

    /// <summary>Ends a piece and lets other clients run theirs; completes at this request's next turn.</summary>
    /// <exception cref="BlockException"><see cref="BlockError.Cancelled"/>: the client disconnected.</exception>
    public LongTurn NextAsync() => this;

    /// <summary>Returns the awaiter.</summary>
    public LongTurn GetAwaiter() => this;

    /// <inheritdoc/>
    public void OnCompleted(Action continuation) => UnsafeOnCompleted(continuation);

    /// <inheritdoc/>
    public void UnsafeOnCompleted(Action continuation)
    {
        _next = continuation;
        _client.Wait(this);
    }

    /// <summary>Ends the wait.</summary>
    public void GetResult()
    {
        if (_failed)
        {
            throw LongWorkClient.Cancelled();
        }
    }

    internal void Begin() => _next!();

    internal void Fail()
    {
        _failed = true;
        _next!();
    }
}
