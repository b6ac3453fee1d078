using System.Globalization;
using System.Text;

namespace Paddock.Rbd;

/// <summary>
/// What is in the object beside an image's header: who owns the image, and who doubts that it is alive. 64 bytes, ASCII, padded with
/// zeroes:
/// <code>
///  0  32  owner   client.NUMBER of the client that has the image open for writing; empty: it was closed, or its lease is over
/// 32  32  doubt   client.NUMBER of a client that has had no answer from the owner; empty: nobody doubts
/// </code>
/// Only the owner removes a doubt. While there is one, its lease is not renewed.
/// </summary>
/// <param name="Owner">Number of the owner; 0 for an empty record.</param>
/// <param name="Doubt">Number of the client that doubts; 0 without a doubt.</param>
internal readonly record struct OwnerRecord(long Owner, long Doubt)
{
    /// <summary>Bytes of a record, and of each of its two fields.</summary>
    public const int Size = 64, FieldSize = 32;

    /// <summary>Offset of the second field.</summary>
    public const int DoubtOffset = 32;

    private const string Prefix = "client.";

    /// <summary>Reads a record; what is missing, or is no client, counts as empty.</summary>
    public static OwnerRecord Parse(ReadOnlySpan<byte> bytes)
        => new(Number(bytes[..Math.Min(bytes.Length, FieldSize)]), Number(bytes[Math.Min(bytes.Length, FieldSize)..]));

    /// <summary>The bytes of a field.</summary>
    public static byte[] Field(long client)
    {
        byte[] field = new byte[FieldSize];
        _ = client == 0 ? 0 : Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{Prefix}{client}"), field);
        return field;
    }

    private static long Number(ReadOnlySpan<byte> field)
    {
        int end = field.IndexOf((byte)0);
        string text = Encoding.ASCII.GetString(end < 0 ? field : field[..end]);
        return text.StartsWith(Prefix, StringComparison.Ordinal)
            && long.TryParse(text.AsSpan(Prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out long number) ? number : 0;
    }
}
