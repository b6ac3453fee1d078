using Paddock.Block;
using Paddock.Posix;

namespace Paddock.Images.Tests;

/// <summary>Waiting until an image may be opened for writing.</summary>
public class ImageTurnTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Locked_file_is_waited_for_and_readers_that_share_are_not()
    {
        using var folder = new TempFolder();
        string path = folder.File("disk.raw");
        await File.WriteAllBytesAsync(path, new byte[512], Token);
        await using var turn = ImageTurn.Of("file:" + path);
        await turn.WaitAsync(Token);
        var owner = ImageOpener.OpenStored(path, readOnly: false);
        var second = turn.WaitAsync(Token);
        Assert.False(second.IsCompleted);
        using var reader = ImageOpener.OpenStored(path, readOnly: true, ImageLock.ForceShare);
        owner.Dispose();
        await second.WaitAsync(TimeSpan.FromSeconds(30), Token);
        Assert.Null(turn.Owner);
        await using var free = ImageOpener.OpenStored(path, readOnly: false);
        using var stop = new CancellationTokenSource();
        var third = turn.WaitAsync(stop.Token);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => third);
    }

    [Fact]
    public async Task Missing_file_is_left_to_whoever_opens_it()
    {
        await using var turn = ImageTurn.Of("/nonexistent/disk.qcow2");
        await turn.WaitAsync(Token);
        Assert.Throws<ToolException>(() => ImageTurn.Of("rbd:pool"));
    }

    [Fact]
    public void Loss_of_ownership_has_an_error_number_of_its_own()
    {
        Assert.Equal(108, Errno.FromBlockError(BlockError.NotOwner));
        Assert.Equal(BlockError.NotOwner, Errno.ToBlockError(108));
    }
}
