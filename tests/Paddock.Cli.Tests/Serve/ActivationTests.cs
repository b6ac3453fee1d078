using Paddock.Qcow2;
using Paddock.Testing.Protocols;
using Paddock.Testing.Protocols.VhostUser;
using Paddock.VhostUser.Blk;

namespace Paddock.Cli.Tests.Serve;

/// <summary>The executable, started as by systemd: with listening sockets.</summary>
public sealed class ActivationTests : IDisposable
{
    // binds the given paths, passes the sockets as a service manager does, and executes the program
    private const string Launcher = """
        import os, socket, sys
        paths, program = sys.argv[1].split(':'), sys.argv[2:]
        listeners = []
        for path in paths:
            listeners.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            listeners[-1].bind(path)
            listeners[-1].listen()
        high = [os.dup2(l.fileno(), 60 + i) for i, l in enumerate(listeners)]
        for i, fd in enumerate(high):
            os.dup2(fd, 3 + i, inheritable=True)
            os.close(fd)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(paths)), LISTEN_FDNAMES=':'.join(['vhost-user'] * len(paths)))
        os.execvp(program[0], program)
        """;

    private readonly string _folder = Directory.CreateTempSubdirectory("vhost-activation-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Passed_sockets_serve_the_images_in_order()
    {
        await ImageFile.CreateAsync(At("a.qcow2"), Guest.Zones * Guest.Zone, new ZonedCreateOptions { ZoneSize = Guest.Zone });
        await ImageFile.CreateAsync(At("b.qcow2"), Guest.Zones * Guest.Zone);
        await using var server = await StartAsync([At("a"), At("b")], At("a.qcow2"), At("b.qcow2"));
        using (var guest = Guest.Connect(At("a"), rings: 4, packed: false, memory: 8 << 20))
        {
            Assert.Equal((byte)0, guest.Run(RequestType.ZoneAppend, Guest.Zone, new byte[4096], ring: 3));
            Assert.Equal((2, Guest.Zone + 4096L), guest.Report()[1]);
        }

        using (var guest = Guest.Connect(At("b"), rings: 1, packed: true, memory: 8 << 20))
        {
            Assert.Equal((byte)0, guest.Run(RequestType.Out, 3 * 4096, [.. Enumerable.Repeat((byte)7, 512)]));
            Assert.Equal((byte)2, guest.Run(RequestType.ZoneReport, 0, length: 640));
        }

        Assert.Equal(0, await server.StopAsync());

        // the server must not remove inherited sockets
        string log = await server.LogAsync();
        Assert.True(File.Exists(At("a")) && File.Exists(At("b")), log);
        Assert.Contains($"unix:{At("b")}", log, StringComparison.Ordinal);
    }

    private static Task<ServerProcess> StartAsync(string[] sockets, params string[] images)
        => ServerProcess.StartAsync(["python3", "-c", Launcher, string.Join(':', sockets), .. ServerProcess.Program, "serve", .. images]);

    private string At(string name) => Path.Combine(_folder, name);
}
