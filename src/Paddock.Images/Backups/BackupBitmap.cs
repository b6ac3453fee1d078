using Paddock.Qcow2;

namespace Paddock.Images.Backups;

/// <summary>The bitmap that an increment goes by.</summary>
internal static class BackupBitmap
{
    /// <summary>Refuses a bitmap that does not have all changes since the last backup.</summary>
    /// <exception cref="ToolException">The bitmap does not exist, is inconsistent, or does not record changes.</exception>
    public static void RequireRecording(IQcow2Bitmaps bitmaps, string name)
    {
        var bitmap = bitmaps.List.FirstOrDefault(b => b.Name == name)
            ?? throw new ToolException($"the image has no bitmap '{name}': begin with a full backup (--full --since {name})");
        if (bitmap.InUse)
        {
            throw new ToolException(
                $"bitmap '{name}' is inconsistent, because a program ended without closing the image: remove it "
                + $"('paddock img bitmap --remove FILE {name}') and begin with a full backup (--full --since {name})");
        }

        if (!bitmap.Auto)
        {
            throw new ToolException(
                $"bitmap '{name}' does not record changes: enable it ('paddock img bitmap --enable FILE {name}') and begin with a full "
                + $"backup (--full --since {name})");
        }
    }
}
