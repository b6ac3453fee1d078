using Paddock.Block.Concurrency;

namespace Paddock.Images.Chains;

/// <summary>Does pieces of work with several in flight; each can wait for those before it.</summary>
internal static class OrderedPieces
{
    /// <summary>Runs until there is no further piece, or one fails.</summary>
    /// <param name="parallel">Pieces in flight.</param>
    /// <param name="next">Finds the next piece, called by one worker at a time; null at the end.</param>
    /// <param name="work">Does one piece.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public static async ValueTask RunAsync(
        int parallel, Func<CancellationToken, ValueTask<Piece?>> next, Func<Turn, ValueTask> work, CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var queue = new Queue(next, stop);
        var workers = new Task[parallel];
        for (int i = 0; i < workers.Length; i++)
        {
            workers[i] = Task.Run(() => WorkAsync(queue, work), CancellationToken.None);
        }

        // all end before the images may be closed; the first failure is the one that counts
        await Task.WhenAll(workers);
        queue.ThrowFailure();
        cancellationToken.ThrowIfCancellationRequested();
    }

    private static async Task WorkAsync(Queue queue, Func<Turn, ValueTask> work)
    {
        try
        {
            while (await queue.NextAsync() is { } turn)
            {
                await work(turn);
                turn.End();
            }
        }
        catch (Exception e)
        {
            // of any kind: a worker that ended without this would leave the others waiting for its piece
            await queue.FailAsync(e);
        }
    }

    /// <summary>A range of the disk.</summary>
    /// <param name="Offset">Where it begins.</param>
    /// <param name="Length">Its bytes.</param>
    internal sealed record Piece(long Offset, int Length);

    /// <summary>A piece in its place between the others.</summary>
    internal sealed class Turn(Piece piece, Task before, CancellationToken stop)
    {
        private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Piece Piece => piece;

        public Task Done => _done.Task;

        /// <summary>Completes when all pieces before this one are done.</summary>
        public Task WaitAsync() => before.WaitAsync(stop);

        public void End() => _done.SetResult();
    }

    private sealed class Queue(Func<CancellationToken, ValueTask<Piece?>> next, CancellationTokenSource stop)
    {
        private readonly AsyncMutex _mutex = new();
        private Task _last = Task.CompletedTask;
        private Exception? _failure;

        public async ValueTask<Turn?> NextAsync()
        {
            await _mutex.AcquireAsync();
            try
            {
                stop.Token.ThrowIfCancellationRequested();
                if (await next(stop.Token) is not { } piece)
                {
                    return null;
                }

                var turn = new Turn(piece, _last, stop.Token);
                _last = turn.Done;
                return turn;
            }
            finally
            {
                _mutex.Release();
            }
        }

        public async ValueTask FailAsync(Exception failure)
        {
            if (failure is not OperationCanceledException)
            {
                Interlocked.CompareExchange(ref _failure, failure, null);
            }

            await stop.CancelAsync();
        }

        public void ThrowFailure()
        {
            if (_failure is not null)
            {
                System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(_failure);
            }
        }
    }
}
