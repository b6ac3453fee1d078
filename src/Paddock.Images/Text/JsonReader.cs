using System.Globalization;
using System.Text;

namespace Paddock.Images.Text;

/// <summary>Reads JSON as QEMU's tools take it: strings in double or single quotes, no trailing commas, their own messages.</summary>
internal sealed class JsonReader
{
    private const int MaxDepth = 128;

    private readonly string _text;
    private int _at;

    private JsonReader(string text) => _text = text;

    /// <summary>Parses a whole text.</summary>
    /// <exception cref="ToolException">It is no JSON; the message is QEMU's.</exception>
    public static object? Parse(string text)
    {
        var reader = new JsonReader(text);
        var value = reader.Value(0);
        reader.SkipBlanks();
        return reader._at == text.Length ? value : throw Fault("JSON parse error, stray input");
    }

    private static ToolException Fault(string message) => new(message);

    private object? Value(int depth)
    {
        SkipBlanks();
        if (_at == _text.Length)
        {
            throw Fault("JSON parse error, premature EOI");
        }

        if (depth > MaxDepth)
        {
            throw Fault("JSON nesting depth limit exceeded");
        }

        char c = _text[_at];
        return c switch
        {
            '{' => Object(depth),
            '[' => Array(depth),
            '"' or '\'' => String(),
            '-' or (>= '0' and <= '9') => Number(),
            (>= 'a' and <= 'z') => Keyword(),
            _ => throw Fault("JSON parse error, expecting value"),
        };
    }

    private QDict Object(int depth)
    {
        var dict = new QDict();
        _at++;
        SkipBlanks();
        if (TryEat('}'))
        {
            return dict;
        }

        while (true)
        {
            if (Value(depth + 1) is not string key)
            {
                throw Fault("JSON parse error, key is not a string in object");
            }

            Expect(':', "JSON parse error, missing : in object pair");
            if (dict.Contains(key))
            {
                throw Fault("JSON parse error, duplicate key");
            }

            dict[key] = Value(depth + 1);
            SkipBlanks();
            if (TryEat('}'))
            {
                return dict;
            }

            Expect(',', "JSON parse error, expected separator in dict");
        }
    }

    private List<object?> Array(int depth)
    {
        var list = new List<object?>();
        _at++;
        SkipBlanks();
        if (TryEat(']'))
        {
            return list;
        }

        while (true)
        {
            list.Add(Value(depth + 1));
            SkipBlanks();
            if (TryEat(']'))
            {
                return list;
            }

            Expect(',', "JSON parse error, expected separator in list");
        }
    }

    private string String()
    {
        char quote = _text[_at++];
        var value = new StringBuilder();
        while (_at < _text.Length && _text[_at] != quote)
        {
            char c = _text[_at++];
            value.Append(c == '\\' ? Escape() : c);
        }

        if (_at == _text.Length)
        {
            throw Fault("JSON parse error, premature EOI");
        }

        _at++;
        return value.ToString();
    }

    private char Escape()
    {
        char c = _at < _text.Length ? _text[_at++] : '\0';
        switch (c)
        {
            case 'b': return '\b';
            case 'f': return '\f';
            case 'n': return '\n';
            case 'r': return '\r';
            case 't': return '\t';
            case '"' or '\'' or '\\' or '/': return c;
            case 'u' when _at + 4 <= _text.Length && ushort.TryParse(
                _text.AsSpan(_at, 4), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ushort code):
                _at += 4;
                return (char)code;
            default: throw Fault("JSON parse error, invalid escape sequence");
        }
    }

    private object Number()
    {
        int start = _at;
        while (_at < _text.Length && (char.IsAsciiDigit(_text[_at]) || "+-.eE".Contains(_text[_at], StringComparison.Ordinal)))
        {
            _at++;
        }

        var digits = _text.AsSpan(start, _at - start);
        return long.TryParse(digits, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long whole) ? whole
            : double.TryParse(digits, NumberStyles.Float, CultureInfo.InvariantCulture, out double real) ? real
            : throw Fault("JSON parse error, expecting value");
    }

    private object? Keyword()
    {
        int start = _at;
        while (_at < _text.Length && char.IsAsciiLetterLower(_text[_at]))
        {
            _at++;
        }

        string word = _text[start.._at];
        return word switch
        {
            "true" => true,
            "false" => false,
            "null" => null,
            _ => throw Fault($"JSON parse error, invalid keyword '{word}'"),
        };
    }

    private void Expect(char c, string message)
    {
        SkipBlanks();
        if (!TryEat(c))
        {
            throw Fault(_at == _text.Length ? "JSON parse error, premature EOI" : message);
        }
    }

    private bool TryEat(char c)
    {
        bool there = _at < _text.Length && _text[_at] == c;
        _at += there ? 1 : 0;
        return there;
    }

    private void SkipBlanks()
    {
        while (_at < _text.Length && _text[_at] is ' ' or '\t' or '\n' or '\r')
        {
            _at++;
        }
    }
}
