using System.CommandLine.Parsing;
using System.Globalization;
using System.Numerics;

namespace Paddock.Cli.Verbs;

/// <summary>Parsers of option values; their errors name the option, the value and what is expected.</summary>
internal static class Numbers
{
    public static int? Whole(ArgumentResult result) => Parse<int>(result, NumberStyles.AllowLeadingSign, $"a number up to {int.MaxValue}");

    public static uint? Count(ArgumentResult result) => Parse<uint>(result, NumberStyles.None, $"a number from 0 to {uint.MaxValue}");

    public static double? Real(ArgumentResult result)
        => Parse<double>(result, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint, "a number such as 10 or 0.5");

    private static T? Parse<T>(ArgumentResult result, NumberStyles styles, string expected)
        where T : struct, INumberBase<T>
        => T.TryParse(TextOf(result), styles, CultureInfo.InvariantCulture, out var value) ? value : Fail<T>(result, expected);

    private static string TextOf(ArgumentResult result) => result.Tokens is [var token] ? token.Value : "";

    private static T? Fail<T>(ArgumentResult result, string expected)
        where T : struct
    {
        string name = result.Parent is OptionResult option ? option.Option.Name : result.Argument.Name;
        result.AddError($"{name} '{TextOf(result)}': expected {expected}");
        return null;
    }
}
