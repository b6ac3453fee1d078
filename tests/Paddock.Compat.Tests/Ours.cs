using Paddock.Compat.Img;
using Paddock.Compat.Io;
using Paddock.Compat.Nbd;
using Paddock.Testing.Protocols;

namespace Paddock.Compat.Tests;

/// <summary>Runs our qemu-img and qemu-nbd in this process.</summary>
internal static class Ours
{
    /// <summary>Runs our qemu-img, which must succeed.</summary>
    public static async Task<string> ImgAsync(params string[] words)
    {
        var (output, error) = (new StringWriter(), new StringWriter());
        int code = await ImgTool.RunAsync(words, new ToolContext { Program = "qemu-img", Out = output, Error = error });
        Assert.True(code == 0, $"{string.Join(' ', words)}: {code}\n{output}{error}");
        return output.ToString();
    }

    /// <summary>Runs our qemu-img.</summary>
    public static async Task<PeerRun> RunImgAsync(params string[] words)
    {
        var (output, error) = (new StringWriter(), new StringWriter());
        int code = await ImgTool.RunAsync(words, new ToolContext { Program = "qemu-img", Out = output, Error = error });
        return new PeerRun(code, output.ToString(), error.ToString());
    }

    /// <summary>Runs our qemu-io.</summary>
    public static async Task<PeerRun> IoAsync(params string[] words)
    {
        var (output, error) = (new StringWriter(), new StringWriter());
        int code = await IoTool.RunAsync(words, new ToolContext { Program = "qemu-io", Out = output, Error = error });
        return new PeerRun(code, output.ToString(), error.ToString());
    }

    /// <summary>Runs our qemu-nbd.</summary>
    public static async Task<PeerRun> NbdAsync(CancellationToken stop, params string[] words)
    {
        var (output, error) = (new StringWriter(), new StringWriter());
        int code = await NbdTool.RunAsync(words, new ToolContext { Program = "qemu-nbd", Out = output, Error = error }, ["nbd"], stop);
        return new PeerRun(code, output.ToString(), error.ToString());
    }

    /// <summary>Starts our qemu-nbd, and waits until it listens.</summary>
    public static async Task<NbdRun> ServeAsync(params string[] words)
    {
        string folder = Directory.CreateTempSubdirectory("paddock-nbd-").FullName, pid = Path.Combine(folder, "pid");
        var stop = new CancellationTokenSource();
        var run = new NbdRun(NbdAsync(stop.Token, ["--pid-file", pid, .. words]), stop, folder);
        try
        {
            await Peer.ThereAsync(pid, run.Ended);
            return run;
        }
        catch
        {
            await run.DisposeAsync();
            throw;
        }
    }
}

/// <summary>Our running qemu-nbd; stopped on disposal.</summary>
internal sealed class NbdRun(Task<PeerRun> ended, CancellationTokenSource stop, string folder) : IAsyncDisposable
{
    /// <summary>Result at exit.</summary>
    public Task<PeerRun> Ended => ended;

    /// <summary>Stops it as a signal would.</summary>
    public async Task<PeerRun> StopAsync()
    {
        await stop.CancelAsync();
        return await ended;
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        stop.Dispose();
        Directory.Delete(folder, recursive: true);
    }
}
