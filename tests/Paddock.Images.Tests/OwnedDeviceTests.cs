using Paddock.Block;
using Paddock.Testing;

namespace Paddock.Images.Tests;

/// <summary>Requests to a disk whose owner is judged by a clock.</summary>
public sealed class OwnedDeviceTests : IAsyncDisposable
{
    private readonly Lease _lease = new();
    private readonly TestDevice _below = new(1 << 20) { Records = true };

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _below.DisposeAsync();

    [Fact]
    public async Task Request_waits_for_a_confirmation_and_fails_if_the_image_is_lost()
    {
        await using var device = new OwnedDevice(_below, _lease);
        _lease.Expire();
        Task[] requests =
        [
            device.ReadAsync(0, new byte[512], Token).AsTask(),
            device.WriteAsync(0, new byte[512], WriteFlags.None, Token).AsTask(),
            device.FlushAsync(Token).AsTask(),
        ];
        Assert.All(requests, static r => Assert.False(r.IsCompleted));
        Assert.Empty(_below.Requests);
        _lease.Answer(isOwner: false);
        foreach (var request in requests)
        {
            Assert.Equal(BlockError.NotOwner, (await Assert.ThrowsAsync<BlockException>(() => request)).Error);
        }

        Assert.Empty(_below.Requests);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Data_that_were_read_while_the_lease_ended_are_returned_after_a_confirmation_only(bool isOwner)
    {
        await using var device = new OwnedDevice(_below, _lease);
        var held = new TaskCompletionSource();
        _below.Around = async (_, forward) =>
        {
            await held.Task;
            await forward();
        };
        var read = device.ReadAsync(0, new byte[512], Token).AsTask();
        _lease.Expire();
        held.SetResult();
        Assert.NotSame(read, await Task.WhenAny(read, _lease.Asked));
        _lease.Answer(isOwner);
        await (isOwner ? read : Assert.ThrowsAsync<BlockException>(() => read));
    }

    private sealed class Lease : ILeasedStorage
    {
        private readonly TaskCompletionSource _asked = new(), _answer = new();

        public Task Asked => _asked.Task;

        public bool IsConfirmed { get; private set; } = true;

        public Task Lost => Task.CompletedTask;

        public string? LossReason => null;

        public async ValueTask ConfirmAsync()
        {
            _asked.TrySetResult();
            await _answer.Task;
        }

        public void Expire() => IsConfirmed = false;

        public void Answer(bool isOwner)
        {
            IsConfirmed = isOwner;
            if (isOwner)
            {
                _answer.SetResult();
            }
            else
            {
                _answer.SetException(new BlockException(BlockError.NotOwner, "lost"));
            }
        }
    }
}
