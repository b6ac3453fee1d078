using System.Diagnostics;

namespace Paddock.Testing.Protocols;

/// <summary>QEMU's qemu-nbd as a server: ready once it has written its pid file, killed on disposal.</summary>
internal sealed class NbdProcess : IAsyncDisposable
{
    private readonly Process _process;

    private NbdProcess(Process process) => _process = process;

    /// <summary>Starts qemu-nbd with these arguments, and waits until it listens.</summary>
    public static async Task<NbdProcess> StartAsync(params string[] words)
    {
        string folder = Directory.CreateTempSubdirectory("qemu-nbd-").FullName, pid = Path.Combine(folder, "pid");
        var server = new NbdProcess(Peer.Start("qemu-nbd", ["--pid-file", pid, .. words]));
        try
        {
            await Peer.ThereAsync(pid, server._process.WaitForExitAsync());
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    public async ValueTask DisposeAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
    }
}
