using Paddock.Block;

namespace Paddock.Images;

/// <summary>Prints the messages of opening as QEMU's tools do.</summary>
/// <param name="program">What warnings begin with.</param>
/// <param name="to">Where they go.</param>
internal sealed class TextMessages(string program, TextWriter to) : IOpenMessages
{
    public void Warn(string warning)
    {
        to.Write(EscapedText.EscapeLines($"{program}: warning: {warning}\n"));
        to.Flush();
    }

    public void Repaired(string line) => to.Write(line + "\n");

    public void Corrupted(string reason)
        => to.Write($"qcow2: Marking image as corrupt: {reason}; further corruption events will be suppressed\n");

    public void FoundCorrupt(string reason)
        => to.Write($"qcow2: Image is corrupt: {reason}; further non-fatal corruption events will be suppressed\n");

    public void GuessedRaw(string name)
    {
        const string Indent = "         ";
        to.Write(
            $"WARNING: Image format was not specified for '{EscapedText.Escape(name)}' and probing guessed raw.\n"
            + Indent + "Automatically detecting the format is dangerous for raw images, write operations on block 0 will be restricted.\n"
            + Indent + "Specify the 'raw' format explicitly to remove the restrictions.\n");
        to.Flush();
    }
}
