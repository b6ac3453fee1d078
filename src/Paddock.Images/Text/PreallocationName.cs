using Paddock.Block;

namespace Paddock.Images.Text;

/// <summary>Preallocation modes by the names that QEMU's tools use.</summary>
internal static class PreallocationName
{
    /// <summary>The mode of a name, off without one; null for an unknown name.</summary>
    public static Preallocation? Parse(string? name) => name switch
    {
        null or "off" => Preallocation.Off,
        "metadata" => Preallocation.Metadata,
        "falloc" => Preallocation.Falloc,
        "full" => Preallocation.Full,
        _ => null,
    };
}
