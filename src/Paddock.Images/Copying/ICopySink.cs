namespace Paddock.Images.Copying;

/// <summary>Takes what a copy brings to its target. Offsets are the target's.</summary>
internal interface ICopySink
{
    /// <summary>Runs of zeroes are looked for in blocks of this many bytes; 0: all data is written as it is.</summary>
    int ZeroBlock { get; }

    /// <summary>Requests begin at multiples of this, and end there too where the copy goes on.</summary>
    int Unit { get; }

    /// <summary>Writes data.</summary>
    ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> data, CancellationToken cancellationToken);

    /// <summary>Makes a range read as zeroes.</summary>
    ValueTask ZeroAsync(long offset, long length, CancellationToken cancellationToken);
}
