using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Images.Text;

namespace Paddock.Compat.Img;

/// <summary>One option of a format, as the help lists it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">What it takes.</param>
/// <param name="Help">What it is for.</param>
internal sealed record FormatOption(string Name, OptionType Type, string Help)
{
    /// <summary>The option's line in a list.</summary>
    public string Line => $"  {$"{Name}=<{Kind}>",-22} - {Help}";

    private string Kind => Type switch
    {
        OptionType.Size => "size",
        OptionType.Number => "num",
        OptionType.Flag => "bool (on/off)",
        _ => "str",
    };

    /// <summary>
    /// The number that a value of a number option stands for; as strtoull has it, a negative one counts from the range's end.
    /// </summary>
    public static ulong NumberOf(string value)
    {
        bool isNegative = value.StartsWith('-');
        SizeParser.TryParseInteger(isNegative ? value[1..] : value, out ulong number);
        return isNegative ? unchecked(0 - number) : number;
    }

    private static bool IsNumber(string value)
        => SizeParser.TryParseInteger(value.StartsWith('-') ? value[1..] : value, out _) == NumberFault.None;

    /// <summary>A value in its one form: numbers in digits, flags as on and off.</summary>
    /// <exception cref="ToolException">The option does not take the value.</exception>
    public string Parse(string value) => Type switch
    {
        OptionType.Size => SizeParser.Option(Name, value).ToString(null, null),
        OptionType.Number => IsNumber(value) ? value : throw new ToolException($"Parameter '{Name}' expects a number"),
        OptionType.Flag => Qcow2Options.Flag(Name, value) ? "on" : "off",
        _ => value,
    };
}

/// <summary>What an option takes.</summary>
internal enum OptionType
{
    /// <summary>Any text.</summary>
    Text,

    /// <summary>A number with an optional unit.</summary>
    Size,

    /// <summary>A number.</summary>
    Number,

    /// <summary>On or off.</summary>
    Flag,
}
