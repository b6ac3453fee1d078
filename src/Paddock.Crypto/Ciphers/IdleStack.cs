namespace Paddock.Crypto.Ciphers;

/// <summary>Idle objects that only one caller at a time may use.</summary>
/// <param name="make">Makes another one.</param>
internal sealed class IdleStack<T>(Func<T> make)
{
    private readonly Stack<T> _idle = [];

    /// <summary>Takes an idle object, or makes one.</summary>
    public T Take()
    {
        lock (_idle)
        {
            if (_idle.TryPop(out var item))
            {
                return item;
            }
        }

        return make();
    }

    /// <summary>Returns an object for the next caller.</summary>
    public void Return(T item)
    {
        lock (_idle)
        {
            _idle.Push(item);
        }
    }
}
