using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Paddock.Block;

namespace Paddock.Posix;

/// <summary>
/// A program started by this process, with its standard streams and arguments as the bytes that were typed (posix_spawnp(3)). The runtime's
/// own class replaces bytes that are not UTF-8, and prefers a program in the working directory to the one in PATH.
/// </summary>
[SupportedOSPlatform("linux")]
internal sealed class ChildProcess
{
    private const int SignalBase = 128, BrokenPipe = 13, FileSizeExceeded = 25;

    // larger than posix_spawnattr_t and sigset_t of any C library
    private const int AttributesSize = 512, SignalSetSize = 128;

    private const short SetSignalMask = 8, SetSignalDefaults = 4;

    private readonly Lock _lock = new();
    private bool _reaped;

    private ChildProcess(int id)
    {
        Id = id;
        Exit = Task.Factory.StartNew(Wait, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    /// <summary>Its process ID.</summary>
    public int Id { get; }

    /// <summary>Its exit code, or 128 and the number of the signal that ended it, as a shell reports it.</summary>
    public Task<int> Exit { get; }

    /// <summary>Starts a program.</summary>
    /// <param name="arguments">Its name, looked up in PATH unless it has a slash, and its arguments.</param>
    /// <param name="environment">Variables, <c>NAME=VALUE</c>.</param>
    /// <exception cref="BlockException">It cannot be started; <see cref="BlockException.Errno"/> is the reason.</exception>
    public static unsafe ChildProcess Start(IReadOnlyList<string> arguments, IReadOnlyList<string> environment)
    {
        byte* attributes = stackalloc byte[AttributesSize];
        byte* signals = stackalloc byte[SignalSetSize];
        using var words = new StringVector(arguments);
        using var variables = new StringVector(environment);
        _ = Native.InitializeSpawn(attributes);
        try
        {
            // the runtime ignores SIGPIPE, and ProcessSetup SIGXFSZ; programs do not expect that
            new Span<byte>(signals, SignalSetSize).Clear();
            _ = Native.SetSpawnMask(attributes, signals);
            AddSignal(signals, BrokenPipe);
            AddSignal(signals, FileSizeExceeded);
            _ = Native.SetSpawnDefaults(attributes, signals);
            _ = Native.SetSpawnFlags(attributes, SetSignalMask | SetSignalDefaults);
            int errno = Native.Spawn(out int id, words.Start[0], null, attributes, words.Start, variables.Start);
            return errno == 0 ? new ChildProcess(id) : throw Errno.Failure(errno, $"cannot run '{arguments[0]}'");
        }
        finally
        {
            _ = Native.DestroySpawn(attributes);
        }
    }

    /// <summary>Sends it a signal; nothing happens if it has ended.</summary>
    public void Signal(int number)
    {
        lock (_lock)
        {
            if (!_reaped)
            {
                _ = Native.Kill(Id, number);
            }
        }
    }

    private static unsafe void AddSignal(byte* set, int number) => set[(number - 1) / 8] |= (byte)(1 << ((number - 1) % 8));

    // waits without reaping, so that the ID cannot be that of another process when a signal is sent
    private int Wait()
    {
        const int byId = 1, exited = 4, leaveZombie = 0x01000000;
        Span<byte> info = stackalloc byte[128];
        while (Native.WaitId(byId, Id, info, exited | leaveZombie) < 0 && Marshal.GetLastPInvokeError() == Native.Interrupted)
        {
        }

        lock (_lock)
        {
            _reaped = true;
            int got;
            int status;
            do
            {
                got = Native.WaitProcess(Id, out status, 0);
            }
            while (got < 0 && Marshal.GetLastPInvokeError() == Native.Interrupted);

            int signal = status & 0x7f;
            return got < 0 ? 1 : signal == 0 ? (status >> 8) & 0xff : SignalBase + signal;
        }
    }

    /// <summary>An array of C strings, ended by a null pointer.</summary>
    private sealed unsafe class StringVector : IDisposable
    {
        private readonly int _count;

        public StringVector(IReadOnlyList<string> texts)
        {
            _count = texts.Count;
            Start = (byte**)NativeMemory.AllocZeroed((nuint)(_count + 1), (nuint)sizeof(byte*));
            for (int i = 0; i < _count; i++)
            {
                Start[i] = PathMarshaller.ConvertToUnmanaged(texts[i]);
            }
        }

        public byte** Start { get; }

        public void Dispose()
        {
            for (int i = 0; i < _count; i++)
            {
                PathMarshaller.Free(Start[i]);
            }

            NativeMemory.Free(Start);
        }
    }
}
