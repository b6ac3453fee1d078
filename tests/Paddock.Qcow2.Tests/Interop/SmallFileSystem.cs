using System.Diagnostics;

namespace Paddock.Qcow2.Tests.Interop;

/// <summary>A small file system, mounted for one test. Needs root; without it the test is reported as skipped.</summary>
internal sealed class SmallFileSystem : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("paddock-fs").FullName;
    private readonly List<string> _mounted = [];

    private SmallFileSystem()
    {
    }

    /// <summary>Where its files are.</summary>
    public string Folder => Path.Combine(_root, "up");

    /// <summary>A tmpfs of so many MiB.</summary>
    public static SmallFileSystem Tmpfs(int mebibytes)
    {
        var made = new SmallFileSystem();
        made.Mount("-t", "tmpfs", "-o", $"size={mebibytes}m", "none", made.Folder);
        return made;
    }

    /// <summary>An ext4 of so many MiB on a disk image.</summary>
    public static SmallFileSystem Ext4(int mebibytes)
    {
        var made = new SmallFileSystem();
        made.MountDisk(Path.Combine(made._root, "disk"), mebibytes);
        return made;
    }

    /// <summary>An ext4 on a disk that has less space than it claims: its write-back fails.</summary>
    public static SmallFileSystem Ext4WithoutSpaceBelow(int mebibytes, int spaceBelow)
    {
        var made = new SmallFileSystem();
        string low = Path.Combine(made._root, "low");
        made.Mount("-t", "tmpfs", "-o", $"size={spaceBelow}m", "none", low);
        made.MountDisk(Path.Combine(low, "disk"), mebibytes);
        return made;
    }

    /// <summary>Gives the disk below an ext4 the space that it lacked.</summary>
    public void GrowBelow(int mebibytes) => Run("mount", "-o", $"remount,size={mebibytes}m", Path.Combine(_root, "low"));

    public void Dispose()
    {
        foreach (string folder in _mounted.AsEnumerable().Reverse())
        {
            Run("umount", folder);
        }

        Directory.Delete(_root, recursive: true);
    }

    private static (int Code, string Text) Run(string program, params string[] arguments)
    {
        using var process = Process.Start(
            new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + error.Result);
    }

    private void MountDisk(string disk, int mebibytes)
    {
        using (var file = File.Create(disk))
        {
            file.SetLength((long)mebibytes << 20);
        }

        Require(Run("mkfs.ext4", "-q", "-F", "-m0", "-O", "^has_journal", "-E", "lazy_itable_init=1", disk));
        Mount("-o", "loop", disk, Folder);
    }

    private void Mount(params string[] arguments)
    {
        Directory.CreateDirectory(arguments[^1]);
        Require(Environment.IsPrivilegedProcess ? Run("mount", arguments) : (1, "not root"));
        _mounted.Add(arguments[^1]);
    }

    private void Require((int Code, string Text) result)
    {
        if (result.Code != 0)
        {
            Dispose();
            Assert.Skip($"no file system can be mounted here: {result.Text.Trim()}");
        }
    }
}
