using System.Globalization;
using System.Text;
using Paddock.Block;

namespace Paddock.Server.Metrics;

/// <summary>
/// A page in the Prometheus text format (exposition format 0.0.4): samples may be added in any order, and come out family by family,
/// each with its HELP and TYPE.
/// </summary>
internal sealed class MetricsText
{
    private readonly Dictionary<string, (string Head, StringBuilder Samples)> _families = new(StringComparer.Ordinal);

    /// <summary>Adds a counter sample; the name ends in <c>_total</c>.</summary>
    public void Counter(string name, string help, double value, params ReadOnlySpan<(string Name, string Value)> labels)
        => Line(Family(name, "counter", help), name, labels, "", value);

    /// <summary>Adds a gauge sample.</summary>
    public void Gauge(string name, string help, double value, params ReadOnlySpan<(string Name, string Value)> labels)
        => Line(Family(name, "gauge", help), name, labels, "", value);

    /// <summary>Adds a histogram.</summary>
    /// <param name="name">Its name, without <c>_bucket</c>.</param>
    /// <param name="help">What it measures.</param>
    /// <param name="bounds">Upper bounds of the buckets, ascending; an unbounded bucket follows.</param>
    /// <param name="counts">Count of each bucket, not cumulative; one more than bounds.</param>
    /// <param name="sum">Sum of all measurements.</param>
    /// <param name="labels">Names and values.</param>
    public void Histogram(
        string name, string help, ReadOnlySpan<double> bounds, ReadOnlySpan<long> counts, double sum,
        params ReadOnlySpan<(string Name, string Value)> labels)
    {
        var samples = Family(name, "histogram", help);
        long below = 0;
        for (int i = 0; i < counts.Length; i++)
        {
            below += counts[i];
            Line(samples, name + "_bucket", labels, i < bounds.Length ? Number(bounds[i]) : "+Inf", below);
        }

        Line(samples, name + "_sum", labels, "", sum);

        // consistent with the last bucket even if measurements were added meanwhile
        Line(samples, name + "_count", labels, "", below);
    }

    /// <summary>The page.</summary>
    public override string ToString()
    {
        var page = new StringBuilder();
        foreach (var (_, (head, samples)) in _families)
        {
            page.Append(head).Append(samples);
        }

        return page.ToString();
    }

    private StringBuilder Family(string name, string type, string help)
    {
        if (!_families.TryGetValue(name, out var family))
        {
            string text = help.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);
            family = ($"# HELP {name} {text}\n# TYPE {name} {type}\n", new StringBuilder());
            _families.Add(name, family);
        }

        return family.Samples;
    }

    private static void Line(StringBuilder to, string name, ReadOnlySpan<(string Name, string Value)> labels, string bound, double value)
    {
        to.Append(name);
        char before = '{';
        foreach (var (label, text) in labels)
        {
            to.Append(before).Append(label).Append("=\"");
            AppendEscaped(to, text);
            to.Append('"');
            before = ',';
        }

        if (bound.Length > 0)
        {
            to.Append(before).Append("le=\"").Append(bound).Append('"');
            before = ',';
        }

        to.Append(before == ',' ? "} " : " ").Append(Number(value)).Append('\n');
    }

    private static void AppendEscaped(StringBuilder to, string text)
    {
        // the page may be read on a terminal
        foreach (char c in EscapedText.Escape(text))
        {
            _ = c switch { '\\' => to.Append("\\\\"), '"' => to.Append("\\\""), '\n' => to.Append("\\n"), _ => to.Append(c) };
        }
    }

    private static string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);
}
