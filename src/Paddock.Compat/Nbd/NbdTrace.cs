using Paddock.Images;
using Paddock.Posix;

namespace Paddock.Compat.Nbd;

/// <summary><c>--trace</c>: checked as QEMU does; the server itself raises no trace events.</summary>
internal static class NbdTrace
{
    /// <exception cref="ToolException">An unknown parameter, or a file of patterns that cannot be read.</exception>
    public static void Check(string option)
    {
        bool isFirst = true;
        foreach (string part in option.Split(','))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            string key = equals < 0 ? isFirst ? "enable" : part : part[..equals];
            if (key is not ("enable" or "events" or "file"))
            {
                throw new ToolException($"Invalid parameter '{key}'");
            }

            if (key == "events" && !FileNames.Exists(part[(equals + 1)..]))
            {
                throw new ToolException($"{part[(equals + 1)..]}: No such file or directory");
            }

            isFirst = false;
        }
    }
}
