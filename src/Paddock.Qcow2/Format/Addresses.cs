namespace Paddock.Qcow2.Format;

/// <summary>A byte offset on the virtual disk. Not a <see cref="HostOffset"/>: mixing the two does not compile.</summary>
public readonly record struct GuestOffset(long Value) : IComparable<GuestOffset>
{
    public int CompareTo(GuestOffset other) => Value.CompareTo(other.Value);

    public static GuestOffset operator +(GuestOffset offset, long bytes) => new(offset.Value + bytes);

    public static bool operator <(GuestOffset left, GuestOffset right) => left.Value < right.Value;

    public static bool operator >(GuestOffset left, GuestOffset right) => left.Value > right.Value;

    public static bool operator <=(GuestOffset left, GuestOffset right) => left.Value <= right.Value;

    public static bool operator >=(GuestOffset left, GuestOffset right) => left.Value >= right.Value;

    public override string ToString() => $"0x{Value:x}";
}

/// <summary>A byte offset in the storage under the image.</summary>
public readonly record struct HostOffset(long Value) : IComparable<HostOffset>
{
    public int CompareTo(HostOffset other) => Value.CompareTo(other.Value);

    public static HostOffset operator +(HostOffset offset, long bytes) => new(offset.Value + bytes);

    public static bool operator <(HostOffset left, HostOffset right) => left.Value < right.Value;

    public static bool operator >(HostOffset left, HostOffset right) => left.Value > right.Value;

    public static bool operator <=(HostOffset left, HostOffset right) => left.Value <= right.Value;

    public static bool operator >=(HostOffset left, HostOffset right) => left.Value >= right.Value;

    public override string ToString() => $"0x{Value:x}";
}

/// <summary>Index of a cluster of the virtual disk.</summary>
public readonly record struct GuestCluster(long Index);

/// <summary>Index of a cluster of the storage under the image.</summary>
public readonly record struct HostCluster(long Index);
