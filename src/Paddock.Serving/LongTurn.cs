using System.Runtime.CompilerServices;
using Paddock.Block;

namespace Paddock.Serving;

/// <summary>A long request's right to run a piece; awaited between two pieces.</summary>
/// <remarks>
/// It is its own awaiter, and gets in line only when what follows is known: so the next piece always runs on a thread of
/// <see cref="LongWork"/>, and never goes on at once on the thread where the last one happened to end.
/// </remarks>
internal sealed class LongTurn : ICriticalNotifyCompletion
{
    private readonly LongWorkClient _client;
    private Action? _next;
    private bool _failed;

    internal LongTurn(LongWorkClient client) => _client = client;

    /// <summary>Never: each wait lets the other clients go first.</summary>
    public bool IsCompleted => false;

    internal bool HasTurn { get; set; }

    internal bool HasBegun { get; set; }

    /// <summary>Ends a piece: lets other clients run theirs; awaiting it ends when it is this request's turn again.</summary>
    /// <exception cref="BlockException"><see cref="BlockError.Cancelled"/>: the client disconnected.</exception>
    public LongTurn NextAsync() => this;

    /// <summary>What awaits it.</summary>
    public LongTurn GetAwaiter() => this;

    /// <inheritdoc/>
    public void OnCompleted(Action continuation) => UnsafeOnCompleted(continuation);

    /// <inheritdoc/>
    public void UnsafeOnCompleted(Action continuation)
    {
        _next = continuation;
        _client.Wait(this);
    }

    /// <summary>The end of the wait.</summary>
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
