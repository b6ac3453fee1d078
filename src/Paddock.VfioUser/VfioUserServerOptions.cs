using Paddock.Serving;

namespace Paddock.VfioUser;

/// <summary>Options of a vfio-user server.</summary>
internal sealed record VfioUserServerOptions
{
    /// <summary>Number of I/O queue pairs, 1 to <see cref="VfioUserLimits.MaxQueues"/>.</summary>
    public int Queues { get; init; } = 16;

    /// <summary>Whether the client may map the doorbells: a write is then not reported, and the controller polls.</summary>
    public bool MappedDoorbells { get; init; }

    /// <summary>Whether the device has MSI-X; otherwise only its interrupt pin.</summary>
    public bool MsiX { get; init; } = true;

    /// <summary>Maximum time to poll idle queues before the controller sleeps; zero: no polling.</summary>
    public TimeSpan Polling { get; init; } = TimeSpan.FromMicroseconds(50);

    /// <summary>
    /// Whether to touch only memory whose pages the client cannot remove, which would kill the whole process with every disk that it
    /// serves; the kernel copies from and to other memory.
    /// </summary>
    public bool SealedMemoryOnly { get; init; } = true;

    /// <summary>Time limit for the version message; zero: none.</summary>
    public TimeSpan HandshakeLimit { get; init; }

    /// <summary>Receives what happens to clients, on their threads.</summary>
    public Action<ClientNotice>? Notices { get; init; }

    /// <summary>Receives log lines, on any thread: warnings, and requests that are rejected.</summary>
    public Action<string>? Log { get; init; }

    /// <summary>Clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
