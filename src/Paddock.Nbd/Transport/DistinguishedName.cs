using System.Security.Cryptography.X509Certificates;
using System.Text;

namespace Paddock.Nbd.Transport;

/// <summary>Names in certificates as text (RFC 4514), which access rules compare.</summary>
internal static class DistinguishedName
{
    private static readonly Dictionary<string, string> Names = new()
    {
        ["2.5.4.3"] = "CN", ["2.5.4.4"] = "SN", ["2.5.4.5"] = "serialNumber", ["2.5.4.6"] = "C", ["2.5.4.7"] = "L", ["2.5.4.8"] = "ST",
        ["2.5.4.9"] = "STREET", ["2.5.4.10"] = "O", ["2.5.4.11"] = "OU", ["2.5.4.12"] = "title", ["2.5.4.42"] = "GN",
        ["0.9.2342.19200300.100.1.1"] = "UID", ["0.9.2342.19200300.100.1.25"] = "DC", ["1.2.840.113549.1.9.1"] = "EMAIL",
    };

    /// <summary>The text: the last part of the encoding comes first.</summary>
    public static string Of(X500DistinguishedName name)
    {
        var text = new StringBuilder();
        foreach (var part in name.EnumerateRelativeDistinguishedNames(reversed: true))
        {
            text.Append(text.Length == 0 ? "" : ",");
            string oid = part.HasMultipleElements ? "" : part.GetSingleElementType().Value ?? "";
            if (oid.Length > 0 && part.GetSingleElementValue() is { } value)
            {
                text.Append(Names.GetValueOrDefault(oid, oid)).Append('=');
                Escape(text, value);
            }
            else
            {
                // no text form: the encoding, which no rule for a text matches
                text.Append('#').Append(Convert.ToHexString(part.RawData.Span));
            }
        }

        return text.ToString();
    }

    private static void Escape(StringBuilder text, string value)
    {
        for (int i = 0; i < value.Length; i++)
        {
            char c = value[i];
            bool isEdge = (c == ' ' && (i == 0 || i == value.Length - 1)) || (c == '#' && i == 0);
            if (isEdge || ",+\"\\<>;".Contains(c, StringComparison.Ordinal))
            {
                text.Append('\\');
            }

            text.Append(c);
        }
    }
}
