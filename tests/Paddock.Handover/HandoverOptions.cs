using System.Globalization;

namespace Paddock.Handover;

/// <summary>What one lane does: two servers of one image, a client, and a number of hand-overs.</summary>
public sealed record HandoverOptions
{
    /// <summary>Text of <c>--help</c>.</summary>
    public const string Usage = """
        usage: tests/handover/run N [--lanes N] [--seed N] [--kinds KIND,...] [--paths] [--write-through] [--file] [--verbose]
        Hands an image over N times between two servers, under a client that verifies.
          --kinds KIND,...  what is done in turn (default: all): planned; killed (SIGKILL); stopped (SIGSTOP, SIGCONT later);
                     interrupted (SIGKILL during a planned one)
          --lanes N  images, each with two servers and a client of its own, at the same time (default: 1)
          --seed N   seed of the first lane; the next has the next one (default: of the clock)
          --paths    the client connects to both servers (nvme+tcp://A,B/NQN) and must continue by itself: a flush that succeeds
                     after a crash confirms everything that was answered before; otherwise each connection is to one server
          --write-through  servers make each write durable at once: then nothing that was answered may be lost, flushed or not
          --file     the image is a file, whose lock a stopped process keeps, in place of RBD in a cluster of its own
        """;

    /// <summary>Number of hand-overs.</summary>
    public required int Count { get; init; }

    /// <summary>Decides what happens when.</summary>
    public required int Seed { get; init; }

    /// <summary>The image, which does not exist yet.</summary>
    public required string Image { get; init; }

    /// <summary>Folder for logs and sockets.</summary>
    public required string Folder { get; init; }

    /// <summary>Command that runs `paddock`.</summary>
    public required IReadOnlyList<string> Program { get; init; }

    /// <summary>What is done, in turn.</summary>
    public IReadOnlyList<HandoverKind> Kinds { get; init; } = Enum.GetValues<HandoverKind>();

    /// <summary>Whether a process that is stopped keeps the image (a file), so that nobody takes it over meanwhile.</summary>
    public bool StoppedKeepsIt { get; init; }

    /// <summary>Whether the client connects to both servers at once, and follows the active one by itself.</summary>
    public bool SeveralPaths { get; init; }

    /// <summary>Whether the servers make each write durable at once.</summary>
    public bool WriteThrough { get; init; }

    /// <summary>Receives a line for each hand-over; null: none is written.</summary>
    public Action<string>? Report { get; init; }

    /// <summary>Longest time without an answer, after which a lane fails.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(90);

    /// <summary>Kinds on the command line, separated by commas.</summary>
    /// <exception cref="ArgumentException">A name is unknown.</exception>
    public static HandoverKind[] ParseKinds(string text)
        => [.. text.Split(',').Select(static name => Enum.Parse<HandoverKind>(name, ignoreCase: true))];

    /// <summary>A number on the command line.</summary>
    /// <exception cref="FormatException">Not a number.</exception>
    public static int Number(string text) => int.Parse(text, NumberStyles.None, CultureInfo.InvariantCulture);
}
