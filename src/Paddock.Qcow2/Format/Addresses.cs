namespace Paddock.Qcow2.Format;

/// <summary>A byte offset on the virtual disk. Mixing it with a <see cref="HostOffset"/> does not compile.</summary>
/// <param name="Value">Bytes from the start of the disk.</param>
internal readonly record struct GuestOffset(long Value) : IComparable<GuestOffset>
{
    public int CompareTo(GuestOffset other) => Value.CompareTo(other.Value);

    public static GuestOffset operator +(GuestOffset offset, long bytes) => new(offset.Value + bytes);

    public static long operator -(GuestOffset end, GuestOffset start) => end.Value - start.Value;

    public static bool operator <(GuestOffset left, GuestOffset right) => left.Value < right.Value;

    public static bool operator >(GuestOffset left, GuestOffset right) => left.Value > right.Value;

    public static bool operator <=(GuestOffset left, GuestOffset right) => left.Value <= right.Value;

    public static bool operator >=(GuestOffset left, GuestOffset right) => left.Value >= right.Value;

    public static GuestOffset Min(GuestOffset left, GuestOffset right) => left < right ? left : right;

    public static GuestOffset Max(GuestOffset left, GuestOffset right) => left > right ? left : right;

    public override string ToString() => $"0x{Value:x}";
}

/// <summary>A byte offset in the storage under the image.</summary>
/// <param name="Value">Bytes from the start of the storage; 0, where the header lies, stands for "nowhere" in the tables.</param>
internal readonly record struct HostOffset(long Value) : IComparable<HostOffset>
{
    /// <summary>True for 0, which no cluster but the header's has.</summary>
    public bool IsNone => Value == 0;

    public int CompareTo(HostOffset other) => Value.CompareTo(other.Value);

    public static HostOffset operator +(HostOffset offset, long bytes) => new(offset.Value + bytes);

    public static long operator -(HostOffset end, HostOffset start) => end.Value - start.Value;

    public static bool operator <(HostOffset left, HostOffset right) => left.Value < right.Value;

    public static bool operator >(HostOffset left, HostOffset right) => left.Value > right.Value;

    public static bool operator <=(HostOffset left, HostOffset right) => left.Value <= right.Value;

    public static bool operator >=(HostOffset left, HostOffset right) => left.Value >= right.Value;

    public override string ToString() => $"0x{Value:x}";
}

/// <summary>Index of a cluster of the virtual disk.</summary>
/// <param name="Index">0 for the first.</param>
internal readonly record struct GuestCluster(long Index)
{
    public static GuestCluster operator +(GuestCluster cluster, long count) => new(cluster.Index + count);

    public static long operator -(GuestCluster end, GuestCluster start) => end.Index - start.Index;
}

/// <summary>Index of a cluster of the storage under the image.</summary>
/// <param name="Index">0 for the header's.</param>
internal readonly record struct HostCluster(long Index) : IComparable<HostCluster>
{
    public int CompareTo(HostCluster other) => Index.CompareTo(other.Index);

    public static HostCluster operator +(HostCluster cluster, long count) => new(cluster.Index + count);

    public static long operator -(HostCluster end, HostCluster start) => end.Index - start.Index;

    public static bool operator <(HostCluster left, HostCluster right) => left.Index < right.Index;

    public static bool operator >(HostCluster left, HostCluster right) => left.Index > right.Index;

    public static bool operator <=(HostCluster left, HostCluster right) => left.Index <= right.Index;

    public static bool operator >=(HostCluster left, HostCluster right) => left.Index >= right.Index;

    public static HostCluster Min(HostCluster left, HostCluster right) => left < right ? left : right;

    public static HostCluster Max(HostCluster left, HostCluster right) => left > right ? left : right;

    public override string ToString() => $"{Index}";
}

/// <summary>Adjacent clusters of the virtual disk.</summary>
/// <param name="First">The first.</param>
/// <param name="Last">The last, included.</param>
internal readonly record struct GuestClusters(GuestCluster First, GuestCluster Last);

/// <summary>Adjacent clusters of the storage.</summary>
/// <param name="First">The first.</param>
/// <param name="Count">How many.</param>
internal readonly record struct HostClusters(HostCluster First, long Count)
{
    /// <summary>The cluster after the last.</summary>
    public HostCluster End => First + Count;
}
