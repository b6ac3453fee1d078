using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Paddock.Block;
using Paddock.Faults;
using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Images.Text;
using Paddock.Nbd;
using Paddock.Nbd.Transport;
using Paddock.Posix;
using Paddock.Qcow2.Snapshots;

namespace Paddock.Compat.Nbd;

/// <summary>qemu-nbd: serves one image until its clients have disconnected, or until a signal.</summary>
public static class NbdTool
{
    private const string DefaultPort = "10809";
    private const int AnyNumber = 1024;
    private const string Evicted = "a client was hung up on: all connections were taken, and another client waited";

    /// <summary>Runs one command line (without the program's name).</summary>
    /// <param name="args">The arguments.</param>
    /// <param name="ctx">Streams and the clock.</param>
    /// <param name="respawn">Arguments in front of them with which this program starts itself again, for --fork.</param>
    /// <param name="stop">Ends the server as a signal does.</param>
    /// <returns>The exit code.</returns>
    public static async Task<int> RunAsync(string[] args, ToolContext ctx, string[] respawn, CancellationToken stop = default)
    {
        try
        {
            args = Background.Words(ctx) ?? args;
            var given = NbdArguments.Parse(args);
            if (given.Help || given.Version)
            {
                NbdHelp.Print(ctx, given.Version);
                return 0;
            }

            if (given.List)
            {
                return await NbdList.RunAsync(given, ctx);
            }

            if (given.Disconnect)
            {
                KernelDevice.Disconnect(given.Image!);
                ctx.Line($"{given.Image} disconnected");
                return 0;
            }

            return given.RunsInBackground && !Background.IsHere(ctx)
                ? await Background.StartAsync(ctx, respawn, args)
                : await ServeAsync(given, ctx, stop);
        }
        catch (UsageException e)
        {
            ctx.Report($"{e.Message}\nTry `{ctx.Program} --help' for more information.");
            return 1;
        }
        catch (Exception e) when (e is ToolException or BlockException)
        {
            ctx.Report(e.Message);
            return 1;
        }
        finally
        {
            await ctx.Out.FlushAsync(CancellationToken.None);
            await ctx.Error.FlushAsync(CancellationToken.None);
        }
    }

    private static async Task<int> ServeAsync(NbdArguments given, ToolContext ctx, CancellationToken stop)
    {
        UserObjects.Check(given.Objects);
        using var credentials = given.TlsCreds is { } id ? NbdList.Credentials(given, id, isServer: true) : null;
        var authorize = given.TlsAuthz is { } rules ? AuthzObjects.Load(given.Objects, rules) : null;
        var address = given.SocketPath is not null || given.Connect is not null ? null
            : Resolve(given.Bind ?? "0.0.0.0", given.Port ?? DefaultPort);
        bool readOnly = given.ReadOnly || given.Snapshot;
        var settings = new OpenSettings { ReadOnly = readOnly, Format = given.Format, Cache = given.Cache };
        if (given.LoadSnapshot is { } snapshot)
        {
            settings = settings with { LoadSnapshot = SnapshotParameter.Parse(snapshot, ctx.Program, '`') };
        }

        var node = await OpenAsync(given, ctx, settings);
        node = given.Snapshot ? await ScratchOverlay.OverAsync(node) : node;
        await using var opened = node;
        if (given.Offset > node.Device.Length)
        {
            throw new ToolException($"Offset ({given.Offset}) has to be smaller than the image size ({node.Device.Length})");
        }

        var export = ExportOf(node, given, await BitmapsAsync(node, given));
        await using var server = new NbdServer(OptionsOf(given, ctx, credentials, authorize), export);
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        if (!given.Persistent)
        {
            server.ClientLeft += left => _ = left == 0 && ended.TrySetResult();
        }

        using var stopped = stop.Register(() => ended.TrySetResult());
        using var interrupt = EndOn(PosixSignal.SIGINT, ended);
        using var terminate = EndOn(PosixSignal.SIGTERM, ended);
        using var hangup = EndOn(PosixSignal.SIGHUP, ended);
        UnixSocketFile? socketFile = null;
        KernelClient? kernel = null;
        bool hasPidFile = false;
        try
        {
            if (given.Connect is { } device)
            {
                kernel = KernelClient.Start(server, export.Name, device, () => ended.TrySetResult());
                if (given.Verbose)
                {
                    ctx.Report($"NBD device {device} is now connected to {given.Image}");
                }
            }
            else
            {
                (var listener, socketFile) = Bind(given, address);
                server.Listen(listener);
            }

            if (given.PidFile is { } file)
            {
                WritePid(file);
                hasPidFile = true;
            }

            if (Background.IsHere(ctx))
            {
                await Background.TellReadyAsync(ctx, keepsErrors: given.Verbose);
            }

            await ended.Task;
            kernel?.Stop();
            await server.StopAsync();
        }
        finally
        {
            socketFile?.Remove();
            if (hasPidFile)
            {
                FileNames.Delete(given.PidFile!);
            }
        }

        return 0;
    }

    private static NbdExport ExportOf(ImageNode node, NbdArguments given, List<IDirtyBitmap> bitmaps) => new()
    {
        Bitmaps = bitmaps,
        Name = given.ExportName ?? "",
        Description = given.Description ?? "",
        Device = Shown(node, given),
        ReadOnly = given.ReadOnly,
        AllocationDepth = given.AllocationDepth,
        OffersResize = given.Resize,
    };

    // a bitmap may be that of any image of the chain
    private static async ValueTask<List<IDirtyBitmap>> BitmapsAsync(ImageNode node, NbdArguments given)
    {
        var bitmaps = new List<IDirtyBitmap>();
        foreach (string name in given.Bitmaps)
        {
            var layer = given.Offset == 0 ? node : null;
            while (layer is not null && layer.Qcow2?.Bitmaps.List.Any(b => b.Name == name) != true)
            {
                layer = layer.Backing;
            }

            var found = layer?.Qcow2?.Bitmaps ?? throw new ToolException($"Bitmap '{name}' is not found");
            if (found.List.First(b => b.Name == name) is { Auto: true, InUse: false } && given.ReadOnly && !layer.Device.IsReadOnly)
            {
                throw new ToolException($"Enabled bitmap '{name}' incompatible with readonly export");
            }

            bitmaps.Add(await found.OpenAsync(name));
        }

        return bitmaps;
    }

    private static NbdServerOptions OptionsOf(
        NbdArguments given, ToolContext ctx, TlsCredentials? credentials, Func<string, bool>? authorize) => new()
    {
        MaxConnections = given.Shared == 0 ? AnyNumber : given.Shared,
        MultiConn = given.Shared != 1,
        HandshakeLimit = given.HandshakeSeconds == 0 ? Timeout.InfiniteTimeSpan : TimeSpan.FromSeconds(given.HandshakeSeconds),
        Tls = credentials is null ? TlsMode.Off : TlsMode.Required,
        Credentials = credentials,
        Authorize = authorize,
        Log = ctx.Report,
        Evicted = given.Verbose ? () => ctx.Report(Evicted) : null,
        Time = ctx.Time,
    };

    private static CheckedDevice Shown(ImageNode node, NbdArguments given)
    {
        // a raw image that was only guessed to be one is served in whole sectors
        bool isRaw = node.Driver == "raw", isGuess = isRaw && given.Format is null && !given.ImageOpts;
        long end = isRaw && !isGuess && node.Storage.Length < node.Device.Length ? node.Storage.Length : long.MaxValue;
        var device = CheckedDevice.Unwrap(node.Device);
        return CheckedDevice.Wrap(new ExportDevice(
            given.Resize ? new ServedDevice(device) : device, given.Offset, given.Unmap, given.DetectZeroes, end, isGuess ? 512 : 1));
    }

    private static async Task<ImageNode> OpenAsync(NbdArguments given, ToolContext ctx, OpenSettings settings)
    {
        try
        {
            if (given.Aio == "native" && given.Cache is not ("none" or "directsync"))
            {
                throw new ToolException("aio=native was specified, but it requires cache.direct=on, which was not specified.");
            }

            return await new ImageOpener(ctx.Program, ctx.Error) { Backing = given.Backing, AcceptsOwnPaths = true }.OpenBareAsync(
                given.Image!, settings, given.ImageOpts);
        }
        catch (SnapshotLoadException e)
        {
            throw new ToolException($"Failed to load snapshot: {ImageOpener.MessageOf(e)}", inner: e);
        }
        catch (Exception e) when (e is ToolException or BlockException)
        {
            throw new ToolException($"Failed to blk_new_open '{given.Image}': {ImageOpener.MessageOf(e)}");
        }
    }

    private static (Socket Listener, UnixSocketFile? File) Bind(NbdArguments given, IPEndPoint? address)
    {
        using var label = given.SelinuxLabel is null ? null : new SocketLabel(given.SelinuxLabel);
        if (given.SocketPath is { } path)
        {
            try
            {
                return ServerSockets.Unix(path);
            }
            catch (Exception e) when (e is SocketException or ArgumentException or IOException or UnauthorizedAccessException)
            {
                throw new ToolException($"Failed to bind socket to {path}: {e.Message}");
            }
        }

        try
        {
            return (ServerSockets.Tcp(address!), null);
        }
        catch (SocketException e)
        {
            throw new ToolException($"Failed to bind socket: {Errno.Describe(e.NativeErrorCode)}");
        }
    }

    private static IPEndPoint Resolve(string host, string port)
    {
        if (!int.TryParse(port, NumberStyles.None, CultureInfo.InvariantCulture, out int number) || number > IPEndPoint.MaxPort)
        {
            throw new ToolException($"address resolution failed for {host}:{port}: Servname not supported for ai_socktype");
        }

        try
        {
            return new IPEndPoint(IPAddress.TryParse(host, out var literal) ? literal : Dns.GetHostAddresses(host)[0], number);
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
            throw new ToolException($"address resolution failed for {host}:{port}: Name or service not known");
        }
    }

    private static PosixSignalRegistration EndOn(PosixSignal signal, TaskCompletionSource ended)
        => PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;
            ended.TrySetResult();
        });

    private static void WritePid(string file)
    {
        try
        {
            FileNames.WriteAllText(file, Environment.ProcessId + "\n");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            string why = e is DirectoryNotFoundException or FileNotFoundException ? "No such file or directory" : e.Message;
            throw new ToolException($"Could not create '{file}': {why}");
        }
    }
}
