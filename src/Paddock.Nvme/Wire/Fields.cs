using System.Buffers.Binary;
using System.Text;

namespace Paddock.Nvme.Wire;

/// <summary>Puts fields at the offsets that a structure's table gives; all numbers are little-endian.</summary>
internal readonly ref struct Fields(Span<byte> bytes)
{
    private readonly Span<byte> _bytes = bytes;

    public void U8(int offset, byte value) => _bytes[offset] = value;

    public void U16(int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(_bytes[offset..], value);

    public void U32(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_bytes[offset..], value);

    public void U64(int offset, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(_bytes[offset..], value);

    public void U128(int offset, UInt128 value) => BinaryPrimitives.WriteUInt128LittleEndian(_bytes[offset..], value);

    public void Bytes(int offset, ReadOnlySpan<byte> value) => value.CopyTo(_bytes[offset..]);

    /// <summary>ASCII that is filled up with spaces.</summary>
    public void Padded(int offset, int length, string text)
    {
        var field = _bytes.Slice(offset, length);
        field.Fill((byte)' ');
        Encoding.ASCII.GetBytes(text.AsSpan(0, Math.Min(text.Length, length)), field);
    }

    /// <summary>UTF-8 that is ended by a zero; a name that is too long is cut.</summary>
    public void Terminated(int offset, int length, string text)
    {
        var field = _bytes.Slice(offset, length);
        field.Clear();
        Encoding.UTF8.TryGetBytes(text, field[..(length - 1)], out _);
    }
}
