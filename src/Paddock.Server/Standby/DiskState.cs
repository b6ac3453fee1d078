namespace Paddock.Server.Standby;

/// <summary>Who serves the data of a disk.</summary>
internal enum DiskState
{
    /// <summary>This server: it owns the image.</summary>
    Active,

    /// <summary>Another server, or nobody; this one waits for its turn. Every request fails.</summary>
    Standby,

    /// <summary>This server has lost the image, and does not wait for it. Every request fails.</summary>
    Lost,
}

/// <summary>Names of the states, as in the live feed and in JSON.</summary>
internal static class DiskStateNames
{
    /// <summary>The name of a state.</summary>
    public static string NameOf(DiskState state) => state switch
    {
        DiskState.Active => "active",
        DiskState.Standby => "standby",
        _ => "lost",
    };

    /// <summary>The same in a sentence: the disk is ...</summary>
    public static string PhraseOf(DiskState state) => state == DiskState.Standby ? "on standby" : NameOf(state);
}
