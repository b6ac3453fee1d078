using System.Globalization;
using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;

namespace Paddock.Compat.Io;

/// <summary>Commands about the image as a whole, and about the tool.</summary>
internal static class StateCommands
{
    public static ValueTask<bool> LengthAsync(IoSession session, IReadOnlyList<string> words)
    {
        session.Print(IoText.Size(session.Device.Length) + "\n");
        return new(true);
    }

    public static async ValueTask<bool> TruncateAsync(IoSession session, IReadOnlyList<string> words)
    {
        var arguments = new IoArguments(words, "m:", session.Complain);
        var preallocation = Preallocation.Off;
        if (arguments.Has('m') && !Enum.TryParse(arguments.Value('m'), ignoreCase: true, out preallocation))
        {
            session.Complain($"{session.Context.Program}: Invalid preallocation mode '{arguments.Value('m')}'");
            return false;
        }

        try
        {
            await session.Device.ResizeAsync(arguments.Number(0), preallocation);
            return true;
        }
        catch (BlockException e)
        {
            session.Complain($"{session.Context.Program}: {e.Message}");
            return false;
        }
    }

    public static ValueTask<bool> InfoAsync(IoSession session, IReadOnlyList<string> words)
    {
        var image = session.Image!;
        session.Print($"format name: {image.Driver}\n");
        if (image.IsProtocol)
        {
            // the peer prints the name of the protocol too, under the same heading
            session.Print($"format name: {image.Driver}\n");
        }

        if (!image.IsDescribed)
        {
            return new(false);
        }

        if (image.Format?.Qcow2?.Info is not { } info)
        {
            session.Print("cluster size: 0 bytes\nvm state offset: 0 bytes\n");
            return new(true);
        }

        // where QEMU would keep the state of a virtual machine: behind all that the L1 table of the disk maps
        long perTable = (long)info.ClusterSize * (info.ClusterSize / (info.ExtendedL2 ? 16 : 8));
        session.Print($"cluster size: {IoText.Size(info.ClusterSize)}\n");
        session.Print($"vm state offset: {IoText.Size((info.VirtualSize + perTable - 1) / perTable * perTable)}\n");
        if (image.Qcow2 is null)
        {
            // a filter: what the format has of its own belongs to the node below
            return new(true);
        }

        session.Print("Format specific information:\n");
        session.Print($"    compat: {(info.Version >= 3 ? "1.1" : "0.10")}\n");
        session.Print($"    compression type: {(info.Compression == Qcow2.Qcow2Compression.Zstd ? "zstd" : "zlib")}\n");
        if (info.Version >= 3)
        {
            session.Print($"    lazy refcounts: {(info.LazyRefcounts ? "true" : "false")}\n");
        }

        session.Print(string.Create(CultureInfo.InvariantCulture, $"    refcount bits: {info.RefcountBits}\n"));
        if (info.Version >= 3)
        {
            session.Print($"    corrupt: {(info.Corrupt ? "true" : "false")}\n    extended l2: {(info.ExtendedL2 ? "true" : "false")}\n");
        }

        return new(true);
    }

    public static async ValueTask<bool> AllocAsync(IoSession session, IReadOnlyList<string> words)
    {
        var arguments = new IoArguments(words, "", session.Complain);
        long start = arguments.Number(0);
        long count = arguments.Count > 1 ? arguments.Number(1) : 512;
        count = Math.Clamp(session.Device.Length - start, 0, count);
        long allocated = 0;
        try
        {
            for (long at = start, end = Math.Min(start + count, session.Device.Length); at < end;)
            {
                var status = await session.Device.GetStatusAsync(at, end - at);
                allocated += (status.Flags & BlockStatusFlags.Allocated) != 0 ? status.Length : 0;
                at += status.Length;
            }
        }
        catch (BlockException e)
        {
            session.Print($"is_allocated failed: {ErrorText.Of(e)}\n");
            return false;
        }

        session.Print($"{allocated}/{count} bytes allocated at offset {IoText.Size(start)}\n");
        return true;
    }

    public static async ValueTask<bool> MapAsync(IoSession session, IReadOnlyList<string> words)
    {
        long length = session.Device.Length;
        try
        {
            for (long at = 0; at < length;)
            {
                var status = await session.Device.GetStatusAsync(at, length - at);
                bool allocated = (status.Flags & BlockStatusFlags.Allocated) != 0;
                long run = status.Length;
                while (at + run < length)
                {
                    status = await session.Device.GetStatusAsync(at + run, length - at - run);
                    if (((status.Flags & BlockStatusFlags.Allocated) != 0) != allocated)
                    {
                        break;
                    }

                    run += status.Length;
                }

                string word = allocated ? "    allocated" : "not allocated";
                session.Print($"{IoText.Size(run)} (0x{run:x}) bytes {word} at offset {IoText.Size(at)} (0x{at:x})\n");
                at += run;
            }

            return true;
        }
        catch (BlockException e)
        {
            session.Complain($"{session.Context.Program}: Failed to get allocation status: {ErrorText.Of(e)}");
            return false;
        }
    }

    public static ValueTask<bool> OpenAsync(IoSession session, IReadOnlyList<string> words)
    {
        var arguments = new IoArguments(words, "snCro:ki:t:d:U", session.Complain);
        string options = arguments.Has('o') ? arguments.Value('o') : "";
        var settings = new OpenSettings
        {
            ReadOnly = arguments.Has('r') || arguments.Has('s'),
            CopyOnRead = arguments.Has('C'),
            Unmap = true,
            Objects = session.Objects,
            Snapshot = arguments.Has('s'),
            ForceShare = arguments.Has('U'),
            Cache = arguments.Has('t') ? arguments.Value('t') : arguments.Has('n') ? "none" : null,
            Options = options.Length == 0 || arguments.Count == 0 ? null : KeyValueOptions.ParseToDict(options),
        };
        settings = arguments.Has('d') ? IoOptions.Discard(settings, arguments.Value('d')) : settings;
        settings = arguments.Has('i') || arguments.Has('k') ? IoOptions.Aio(settings, arguments.Has('i') ? arguments.Value('i') : "native")
            : settings;
        if (arguments.Count > 1 || (arguments.Count == 0 && options.Length == 0))
        {
            throw new IoArgumentException("", showUsage: true);
        }

        return arguments.Count == 1 ? session.OpenAsync(arguments[0], settings, imageOpts: false)
            : session.OpenAsync(options, settings, imageOpts: true);
    }

    public static async ValueTask<bool> ReopenAsync(IoSession session, IReadOnlyList<string> words)
    {
        var arguments = new IoArguments(words, "c:o:rw", session.Complain);
        if (arguments.Has('r') && arguments.Has('w'))
        {
            session.Complain($"{session.Context.Program}: Only one -r/-w option may be given");
            return false;
        }

        if (arguments.Count > 0)
        {
            throw new IoArgumentException("", showUsage: true);
        }

        bool? readOnly = arguments.Has('r') ? true : arguments.Has('w') ? false : null;
        string? cache = arguments.Has('c') ? arguments.Value('c') : null, options = arguments.Has('o') ? arguments.Value('o') : null;
        return await session.ReopenAsync(IoOptions.Reopened(session.Opened, cache, readOnly, options));
    }

    public static ValueTask<bool> CloseAsync(IoSession session, IReadOnlyList<string> words) => session.CloseAsync();

    public static ValueTask<bool> QuitAsync(IoSession session, IReadOnlyList<string> words)
    {
        session.Done = true;
        return new(true);
    }

    public static async ValueTask<bool> SleepAsync(IoSession session, IReadOnlyList<string> words)
    {
        await Task.Delay(TimeSpan.FromMilliseconds(IoArguments.ParseNumber(words[1])), session.Context.Time);
        return true;
    }

    public static ValueTask<bool> RaiseAsync(IoSession session, IReadOnlyList<string> words)
    {
        session.Context.Out.Flush();
        Die((int)IoArguments.ParseNumber(words[1]));
        return new(true);
    }

    public static ValueTask<bool> AbortAsync(IoSession session, IReadOnlyList<string> words)
    {
        const int SigAbrt = 6;
        session.Context.Out.Flush();
        Die(SigAbrt);
        return new(true);
    }

    private static void Die(int signal)
    {
        if (OperatingSystem.IsLinux())
        {
            Posix.Terminal.Raise(signal);
        }
        else
        {
            Environment.FailFast($"signal {signal}");
        }
    }
}
