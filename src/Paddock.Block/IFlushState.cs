namespace Paddock.Block;

/// <summary>A device that remembers a failed flush: the writes before it may be lost.</summary>
public interface IFlushState
{
    /// <summary>Throws if a flush failed and may have lost data: nothing can be made durable until the device is reopened.</summary>
    /// <exception cref="BlockException">The error of that flush.</exception>
    void ThrowIfFlushFailed();
}
