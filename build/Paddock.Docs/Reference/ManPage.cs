using System.Text;
using Markdig;
using Markdig.Extensions.DefinitionLists;
using Markdig.Syntax;
using MarkdownBlock = Markdig.Syntax.Block;

namespace Paddock.Docs.Reference;

/// <summary>A page as a man page: the Markdown of its sections in the macros of <c>man(7)</c>.</summary>
/// <param name="page">The page.</param>
/// <param name="date">Date in the footer, <c>YYYY-MM-DD</c>.</param>
/// <param name="version">Version in the footer.</param>
internal sealed class ManPage(ManualPage page, string date, string version)
{
    private static readonly MarkdownPipeline Pipeline = new MarkdownPipelineBuilder().UseDefinitionLists().Build();

    private readonly StringBuilder _text = new();

    /// <summary>The page as roff.</summary>
    /// <exception cref="InvalidDataException">A section has a kind of Markdown block that man pages do not have.</exception>
    public string ToRoff()
    {
        Line($".TH {page.Name.ToUpperInvariant()} 1 \"{date}\" \"Paddock {version}\" \"User Commands\"");

        // options are long words: lines that are filled to the margin would have wide gaps
        Line(".ad l");
        Line(".SH NAME");
        Line(RoffText.Wrap($"{RoffText.Escape(page.Name)} \\- {RoffText.Escape(Phrase(page.Summary))}"));
        foreach (var section in page.Sections)
        {
            Line(".SH " + RoffText.Escape(section.Title.ToUpperInvariant()));
            Blocks(Markdown.Parse(section.Markdown, Pipeline), isFirst: true);
        }

        return _text.ToString();
    }

    // the NAME section is no sentence: apropos shows it behind a dash
    private static string Phrase(string sentence)
    {
        string text = sentence.TrimEnd('.');
        return text.Length < 2 || char.IsUpper(text[1]) ? text : char.ToLowerInvariant(text[0]) + text[1..];
    }

    private void Blocks(IEnumerable<MarkdownBlock> blocks, bool isFirst)
    {
        foreach (var block in blocks)
        {
            Render(block, isFirst);

            // a paragraph macro right after a heading has no effect
            isFirst = block is HeadingBlock;
        }
    }

    private void Render(MarkdownBlock block, bool isFirst)
    {
        switch (block)
        {
            case HeadingBlock heading:
                Line(".SS " + RoffText.Plain(heading.Inline!));
                break;
            case ParagraphBlock paragraph:
                if (!isFirst)
                {
                    Line(".PP");
                }

                Line(RoffText.Of(paragraph.Inline!));
                break;
            case CodeBlock code:
                Code(code, isFirst);
                break;
            case ListBlock list:
                foreach (var item in list.OfType<ListItemBlock>())
                {
                    Line(".IP " + (list.IsOrdered ? $"{item.Order}. 4" : "\\(bu 2"));
                    Nested(item);
                }

                break;
            case DefinitionList definitions:
                foreach (var item in definitions.OfType<DefinitionItem>())
                {
                    Line(".TP");
                    Line(string.Join(", ", item.OfType<DefinitionTerm>().Select(t => RoffText.Of(t.Inline!))));
                    Nested(item.Where(b => b is not DefinitionTerm));
                }

                break;
            default:
                throw new InvalidDataException(
                    $"{page.Name}: {block.GetType().Name} in line {block.Line + 1} of a section: man pages have no such block");
        }
    }

    // blocks after the first one are indented as far as the text of the item
    private void Nested(IEnumerable<MarkdownBlock> blocks)
    {
        foreach (var (index, block) in blocks.Index())
        {
            if (index == 0 && block is ParagraphBlock)
            {
                Render(block, isFirst: true);
                continue;
            }

            Line(".RS");
            Render(block, isFirst: true);
            Line(".RE");
        }
    }

    private void Code(CodeBlock code, bool isFirst)
    {
        if (!isFirst)
        {
            Line(".PP");
        }

        Line(".RS 4");
        Line(".nf");
        foreach (var line in code.Lines.Lines.Take(code.Lines.Count))
        {
            Line(RoffText.Guard(RoffText.Escape(line.ToString())));
        }

        Line(".fi");
        Line(".RE");
    }

    private void Line(string text) => _text.Append(text).Append('\n');
}
