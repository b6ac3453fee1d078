using Paddock.Block;

namespace Paddock.Server.Live;

/// <summary>Operation of a request to a served disk.</summary>
internal enum LiveOperation : byte
{
    /// <summary>Reads data.</summary>
    Read,

    /// <summary>Writes data.</summary>
    Write,

    /// <summary>Zone append.</summary>
    Append,

    /// <summary>Opens zones.</summary>
    Open,

    /// <summary>Closes zones.</summary>
    Close,

    /// <summary>Finishes zones.</summary>
    Finish,

    /// <summary>Resets zones.</summary>
    Reset,

    /// <summary>Reports zones.</summary>
    Report,

    /// <summary>Makes data durable.</summary>
    Flush,

    /// <summary>Writes zeroes.</summary>
    Zeroes,

    /// <summary>Discards data.</summary>
    Discard,

    /// <summary>Commits a random write area.</summary>
    Commit,
}

/// <summary>Names and kinds of operations.</summary>
internal static class LiveOperations
{
    /// <summary>Kinds by which requests are counted, in the order of <see cref="KindOf"/>.</summary>
    public static IReadOnlyList<string> Kinds { get; } = ["read", "write", "append", "zone", "flush", "other"];

    /// <summary>Index of the kind of an operation in <see cref="Kinds"/>.</summary>
    public static int KindOf(LiveOperation operation) => operation switch
    {
        LiveOperation.Read => 0,
        LiveOperation.Write => 1,
        LiveOperation.Append => 2,
        LiveOperation.Flush => 4,
        LiveOperation.Zeroes or LiveOperation.Discard => 5,
        _ => 3,
    };

    /// <summary>Name of an operation in a trace.</summary>
    public static string NameOf(LiveOperation operation) => operation switch
    {
        LiveOperation.Read => "read",
        LiveOperation.Write => "write",
        LiveOperation.Append => "zone append",
        LiveOperation.Open => "zone open",
        LiveOperation.Close => "zone close",
        LiveOperation.Finish => "zone finish",
        LiveOperation.Reset => "zone reset",
        LiveOperation.Report => "zone report",
        LiveOperation.Flush => "flush",
        LiveOperation.Zeroes => "write zeroes",
        LiveOperation.Commit => "zone commit",
        _ => "discard",
    };

    /// <summary>The operation of a zone management request.</summary>
    public static LiveOperation Of(ZoneAction action) => action switch
    {
        ZoneAction.Open or ZoneAction.OpenWithRandomArea => LiveOperation.Open,
        ZoneAction.Close => LiveOperation.Close,
        ZoneAction.Finish => LiveOperation.Finish,
        _ => LiveOperation.Reset,
    };
}
