using System.Globalization;
using System.Text.RegularExpressions;

namespace Paddock.Server.Tests;

/// <summary>
/// Parses a page in Prometheus's text format 0.0.4 and checks every rule: HELP and TYPE once and before the samples, contiguous families,
/// names, labels, no duplicate samples, histograms that never decrease and end at their count.
/// </summary>
internal sealed partial class Exposition
{
    private readonly Dictionary<string, string> _types = [];
    private readonly HashSet<string> _helped = [];
    private readonly HashSet<string> _closed = [];
    private string _family = "";

    /// <summary>All samples, by name with labels as written.</summary>
    public Dictionary<string, double> Samples { get; } = [];

    public double this[string sample] => Samples[sample];

    public static Exposition Parse(string page)
    {
        var all = new Exposition();
        Assert.EndsWith("\n", page, StringComparison.Ordinal);
        foreach (string line in page[..^1].Split('\n'))
        {
            all.Take(line);
        }

        all.CheckHistograms();
        return all;
    }

    private void Take(string line)
    {
        if (Comment().Match(line) is { Success: true } comment)
        {
            string name = comment.Groups[2].Value;
            bool isHelp = comment.Groups[1].Value == "HELP";
            Enter(name);
            Assert.True(isHelp ? _helped.Add(name) : _types.TryAdd(name, comment.Groups[3].Value), line);
            Assert.True(isHelp || comment.Groups[3].Value is "counter" or "gauge" or "histogram", line);
            Assert.Matches(@"^(\\\\|\\n|[^\\])+$", comment.Groups[3].Value);
            return;
        }

        var sample = Sample().Match(line);
        Assert.True(sample.Success, "no sample: " + line);
        Enter(FamilyOf(sample.Groups[1].Value));
        string labels = sample.Groups[2].Value;
        string[] names = [.. Label().Matches(labels).Select(m => m.Groups[1].Value)];
        Assert.Equal(names.Length, names.Distinct().Count());
        if (labels.Length > 0)
        {
            Assert.Equal(labels, "{" + string.Join(',', Label().Matches(labels).Select(m => m.Value)) + "}");
        }

        Assert.True(Samples.TryAdd(sample.Groups[1].Value + labels, Number(sample.Groups[3].Value)), "twice: " + line);
        string type = _types[_family];
        Assert.True(type != "counter" || sample.Groups[1].Value.EndsWith("_total", StringComparison.Ordinal), "a counter's name: " + line);
        Assert.True(type == "gauge" || Number(sample.Groups[3].Value) >= 0, "below zero: " + line);
    }

    private string FamilyOf(string name)
    {
        string stem = Suffix().Replace(name, "");
        string family = _types.GetValueOrDefault(stem) == "histogram" ? stem : name;
        Assert.True(_types.ContainsKey(family) && _helped.Contains(family), "no HELP or TYPE before " + name);
        return family;
    }

    private void Enter(string family)
    {
        if (_family != family)
        {
            _closed.Add(_family);
            Assert.DoesNotContain(family, _closed);
            _family = family;
        }
    }

    private void CheckHistograms()
    {
        foreach (string name in _types.Where(t => t.Value == "histogram").Select(t => t.Key))
        {
            var buckets = Samples.Where(s => s.Key.StartsWith(name + "_bucket{", StringComparison.Ordinal)).ToArray();
            Assert.NotEmpty(buckets);
            foreach (var series in buckets.GroupBy(b => Bound().Replace(b.Key[(name.Length + 7)..], "")))
            {
                double last = double.NegativeInfinity, below = 0;
                foreach (var (sample, count) in series)
                {
                    double bound = Number(Bound().Match(sample).Groups[1].Value);
                    Assert.True(bound > last && count >= below, sample);
                    (last, below) = (bound, count);
                }

                Assert.Equal(double.PositiveInfinity, last);
                string labels = series.Key == "{}" ? "" : series.Key;
                Assert.Equal(below, Samples[name + "_count" + labels]);
                Assert.Contains(name + "_sum" + labels, Samples.Keys);
            }
        }
    }

    private static double Number(string text)
        => text == "+Inf" ? double.PositiveInfinity : double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$")]
    private static partial Regex Comment();

    [GeneratedRegex(@"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})? ([-+0-9.eEInf]+)$")]
    private static partial Regex Sample();

    [GeneratedRegex(@"([a-zA-Z_][a-zA-Z0-9_]*)=""((?:\\\\|\\""|\\n|[^\\""\n])*)""")]
    private static partial Regex Label();

    [GeneratedRegex("_(bucket|sum|count)$")]
    private static partial Regex Suffix();

    [GeneratedRegex(@",?le=""([^""]*)""")]
    private static partial Regex Bound();
}
