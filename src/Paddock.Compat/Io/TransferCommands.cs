using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Posix;
using Paddock.Qcow2;

namespace Paddock.Compat.Io;

/// <summary>read, write, their vectored and background forms, flush and discard.</summary>
internal static class TransferCommands
{
    private const long MaxRequest = int.MaxValue & ~511;
    private const byte WritePattern = 0xcd;

    public static async ValueTask<bool> ReadAsync(IoSession session, IReadOnlyList<string> words)
    {
        var arguments = new IoArguments(words, "bCl:pP:qrs:v", session.Complain);
        Require(arguments.Count == 2);
        long offset = arguments.Number(0);
        long count = Length(arguments, 1);
        long patternAt = arguments.Has('s') ? IoArguments.ParseNumber(arguments.Value('s')) : 0;
        long patternCount = arguments.Has('l') ? IoArguments.ParseNumber(arguments.Value('l')) : count - patternAt;
        Require(arguments.Has('P') || !(arguments.Has('l') || arguments.Has('s')));
        if (patternCount < 0 || patternCount + patternAt > count)
        {
            throw new IoArgumentException("pattern verification range exceeds end of read data\n");
        }

        return await ReadCoreAsync(session, arguments, "read", offset, count, (patternAt, patternCount));
    }

    public static ValueTask<bool> ReadvAsync(IoSession session, IReadOnlyList<string> words)
    {
        var arguments = new IoArguments(words, "CP:qrv", session.Complain);
        Require(arguments.Count >= 2);
        long count = VectorLength(arguments);
        return ReadCoreAsync(session, arguments, "readv", arguments.Number(0), count, (0, count));
    }

    public static ValueTask<bool> AioReadAsync(IoSession session, IReadOnlyList<string> words)
    {
        var arguments = new IoArguments(words, "CP:iqrv", session.Complain);
        Require(arguments.Count >= 2);
        long count = VectorLength(arguments);
        arguments.Pattern(0);
        if (arguments.Has('i'))
        {
            session.Print("injecting invalid read request\n");
            return new(true);
        }

        session.Start(ReadCoreAsync(session, arguments, "aio_read", arguments.Number(0), count, (0, count)).AsTask());
        return new(true);
    }

    public static async ValueTask<bool> WriteAsync(IoSession session, IReadOnlyList<string> words)
    {
        var arguments = new IoArguments(words, "bcCfnpP:qrs:uz", session.Complain);
        CheckWriteOptions(arguments);
        Require(arguments.Count == 2);
        long offset = arguments.Number(0);
        long count = arguments.Has('z') ? arguments.Number(1) : Length(arguments, 1);
        return await WriteCoreAsync(session, arguments, "write", offset, count);
    }

    public static ValueTask<bool> WritevAsync(IoSession session, IReadOnlyList<string> words)
    {
        var arguments = new IoArguments(words, "CfqrP:", session.Complain);
        Require(arguments.Count >= 2);
        return WriteCoreAsync(session, arguments, "writev", arguments.Number(0), VectorLength(arguments));
    }

    public static ValueTask<bool> AioWriteAsync(IoSession session, IReadOnlyList<string> words)
    {
        var arguments = new IoArguments(words, "CfiP:qruz", session.Complain);
        Require(arguments.Count >= 2);
        if (arguments.Has('z') && arguments.Count != 2)
        {
            throw new IoArgumentException("-z supports only a single length parameter\n");
        }

        CheckWriteOptions(arguments);
        long offset = arguments.Number(0);
        long count = arguments.Has('z') ? arguments.Number(1) : VectorLength(arguments);
        arguments.Pattern(0);
        if (arguments.Has('i'))
        {
            session.Print("injecting invalid write request\n");
            return new(true);
        }

        session.Start(WriteCoreAsync(session, arguments, "aio_write", offset, count).AsTask());
        return new(true);
    }

    public static async ValueTask<bool> AioFlushAsync(IoSession session, IReadOnlyList<string> words)
    {
        await session.DrainAsync();
        return true;
    }

    public static async ValueTask<bool> FlushAsync(IoSession session, IReadOnlyList<string> words)
    {
        try
        {
            await session.Device.FlushAsync();
            return true;
        }
        catch (BlockException)
        {
            // the tool says nothing of a failed flush but by its exit code
            return false;
        }
    }

    public static async ValueTask<bool> DiscardAsync(IoSession session, IReadOnlyList<string> words)
    {
        var arguments = new IoArguments(words, "Cq", session.Complain);
        Require(arguments.Count == 2);
        long offset = arguments.Number(0);
        long count = Length(arguments, 1);
        long start = session.Context.Time.GetTimestamp();
        try
        {
            await session.Device.DiscardAsync(offset, count);
        }
        catch (BlockException e) when (e.Error == BlockError.NotSupported)
        {
            // a discard that is not supported is a hint not taken
        }
        catch (BlockException e)
        {
            session.Print($"discard failed: {ErrorText.Of(e)}\n");
            return false;
        }

        session.Print(Report(session, arguments, "discard", start, offset, count));
        return true;
    }

    private static async ValueTask<bool> ReadCoreAsync(
        IoSession session, IoArguments arguments, string name, long offset, long count, (long At, long Count) verified)
    {
        byte pattern = arguments.Pattern(0);
        var buffer = new byte[count];
        Array.Fill(buffer, (byte)0xab);
        long start = session.Context.Time.GetTimestamp();
        try
        {
            await (arguments.Has('b') ? StateOf(session).ReadVmStateAsync(offset, buffer) : session.Device.ReadAsync(offset, buffer));
        }
        catch (BlockException e)
        {
            session.Print($"{name} failed: {ErrorText.Of(e)}\n");
            return false;
        }

        bool good = !arguments.Has('P') || buffer.AsSpan((int)verified.At, (int)verified.Count).IndexOfAnyExcept(pattern) < 0;
        string failed = good ? "" : $"Pattern verification failed at offset {offset + verified.At}, {verified.Count} bytes\n";
        string dump = arguments.Has('v') && !arguments.Has('q') ? IoText.Dump(buffer, offset) : "";

        // one print: the lines of another request that ends now do not come between them
        session.Print(failed + dump + Report(session, arguments, "read", start, offset, count));
        return good;
    }

    private static async ValueTask<bool> WriteCoreAsync(IoSession session, IoArguments arguments, string name, long offset, long count)
    {
        byte[] buffer = arguments.Has('z') ? [] : Fill(arguments, count);
        long start = session.Context.Time.GetTimestamp();
        try
        {
            await SendAsync(session, arguments, offset, count, buffer);
        }
        catch (BlockException e)
        {
            session.Print($"{name} failed: {ErrorText.Of(e)}\n");
            return false;
        }

        session.Print(Report(session, arguments, "wrote", start, offset, count));
        return true;
    }

    private static ValueTask SendAsync(IoSession session, IoArguments arguments, long offset, long count, byte[] buffer)
    {
        if (arguments.Has('b'))
        {
            return WriteStateAsync(session, offset, buffer);
        }

        if (arguments.Has('z'))
        {
            var flags = (arguments.Has('u') ? ZeroFlags.MayUnmap : 0) | (arguments.Has('f') ? ZeroFlags.Fua : 0)
                | (arguments.Has('n') ? ZeroFlags.NoFallback : 0);
            return session.Device.WriteZeroesAsync(offset, count, flags);
        }

        if (arguments.Has('c'))
        {
            return session.Image!.Compressor is { } qcow2 && offset + count <= session.Device.Length
                ? qcow2.WriteCompressedAsync(offset, buffer)
                : throw new BlockException(
                    offset + count <= session.Device.Length ? BlockError.NotSupported : BlockError.Io, "compressed write");
        }

        return session.Device.WriteAsync(offset, buffer, arguments.Has('f') ? WriteFlags.Fua : WriteFlags.None);
    }

    // the image that keeps a virtual machine's state
    private static IQcow2Device StateOf(IoSession session)
        => session.Image!.Qcow2 ?? throw new BlockException(BlockError.NotSupported, "the format keeps no VM state");

    // the state goes past the device that writes through
    private static async ValueTask WriteStateAsync(IoSession session, long offset, byte[] buffer)
    {
        await StateOf(session).WriteVmStateAsync(offset, buffer);
        if (ImageOpener.IsWriteThrough(session.Image!.Cache))
        {
            await session.Device.FlushAsync();
        }
    }

    private static void CheckWriteOptions(IoArguments arguments)
    {
        Refuse(arguments.Has('b') && arguments.Has('z'), "-b and -z cannot be specified at the same time\n");
        Refuse(arguments.Has('f') && (arguments.Has('b') || arguments.Has('c')), "-f and -b or -c cannot be specified at the same time\n");
        Refuse(arguments.Has('n') && !arguments.Has('z'), "-n requires -z to be specified\n");
        Refuse(arguments.Has('u') && !arguments.Has('z'), "-u requires -z to be specified\n");
        int sources = (arguments.Has('z') ? 1 : 0) + (arguments.Has('P') ? 1 : 0) + (arguments.Has('s') ? 1 : 0);
        Refuse(sources > 1, "Only one of -z, -P, and -s can be specified at the same time\n");
    }

    private static void Refuse(bool bad, string text)
    {
        if (bad)
        {
            throw new IoArgumentException(text);
        }
    }

    private static byte[] Fill(IoArguments arguments, long count)
    {
        var buffer = new byte[count];
        if (!arguments.Has('s'))
        {
            Array.Fill(buffer, arguments.Pattern(WritePattern));
            return buffer;
        }

        byte[] source;
        try
        {
            source = FileNames.ReadAllBytes(arguments.Value('s'));
        }
        catch (IOException e)
        {
            throw new IoArgumentException(
                $"{arguments.Value('s')}: {(e is FileNotFoundException ? "No such file or directory" : e.Message)}\n");
        }

        Refuse(source.Length == 0, $"{arguments.Value('s')}: file is empty\n");
        for (int at = 0; at < buffer.Length; at += source.Length)
        {
            source.AsSpan(0, Math.Min(source.Length, buffer.Length - at)).CopyTo(buffer.AsSpan(at));
        }

        return buffer;
    }

    private static long Length(IoArguments arguments, int index)
    {
        long count = arguments.Number(index);
        Refuse(count > MaxRequest, $"length cannot exceed {MaxRequest}, given {arguments[index]}\n");
        return count;
    }

    private static long VectorLength(IoArguments arguments)
    {
        long total = 0;
        for (int i = 1; i < arguments.Count; i++)
        {
            total += Length(arguments, i);
            Refuse(total > MaxRequest, $"The total number of bytes exceed the maximum size {MaxRequest}\n");
        }

        return total;
    }

    private static string Report(IoSession session, IoArguments arguments, string verb, long start, long offset, long count)
        => arguments.Has('q') ? ""
            : IoText.Report(verb, session.Context.Time.GetElapsedTime(start), offset, count, count, 1, arguments.Has('C'));

    private static void Require(bool holds)
    {
        if (!holds)
        {
            throw new IoArgumentException("", showUsage: true);
        }
    }
}
