namespace Paddock.Images.Text;

/// <summary>A new size as qemu-img's resize takes it: a size, or with a sign in front how much more or less than now.</summary>
internal readonly record struct SizeChange
{
    private readonly int _sign;
    private readonly long _amount;

    private SizeChange(int sign, long amount) => (_sign, _amount) = (sign, amount);

    /// <summary>Reads it.</summary>
    /// <exception cref="ToolException">It is no size.</exception>
    public static SizeChange Parse(string text)
    {
        int sign = text.Length == 0 ? 0 : text[0] == '+' ? 1 : text[0] == '-' ? -1 : 0;
        return new SizeChange(sign, (long)Math.Min(SizeParser.Option("size", sign == 0 ? text : text[1..]), long.MaxValue));
    }

    /// <summary>The new size.</summary>
    /// <param name="now">The current size, in bytes.</param>
    /// <exception cref="ToolException">It is not positive, or above 2^63 - 1.</exception>
    public long Of(long now)
    {
        long wanted = _sign == 0 ? _amount : _sign < 0 ? now - _amount : _amount <= long.MaxValue - now ? now + _amount : 0;
        return wanted > 0 ? wanted : throw new ToolException("New image size must be positive");
    }
}
