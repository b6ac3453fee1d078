namespace Paddock.Qcow2.Engine;

/// <summary>What becomes of whole clusters whose data is not wanted any more.</summary>
internal enum Deallocation
{
    /// <summary>They read as zeroes, and stay allocated.</summary>
    ZeroKeep,

    /// <summary>They read as zeroes, and are freed.</summary>
    ZeroUnmap,

    /// <summary>As <see cref="ZeroUnmap"/>, but what is not allocated stays so when there is no backing image.</summary>
    Discard,

    /// <summary>They leave the map: the disk ends before them.</summary>
    Remove,
}
