using System.Runtime.InteropServices;
using Paddock.Block;

namespace Paddock.Rbd.Native;

/// <summary>Loads Ceph's libraries when the first image in RBD is named: nothing else of Paddock needs them.</summary>
internal static class CephLibraries
{
    private static bool _isLoaded;

    /// <summary>Loads librbd and librados, once per process.</summary>
    /// <exception cref="BlockException">One is not installed; the message names its package.</exception>
    public static void Require()
    {
        if (!Volatile.Read(ref _isLoaded))
        {
            Require(LibRados.Name, "librados2");
            Require(LibRbd.Name, "librbd1");
            Volatile.Write(ref _isLoaded, true);
        }
    }

    /// <summary>Loads a library.</summary>
    /// <param name="library">Its name for the dynamic linker.</param>
    /// <param name="package">The package that has it, in most distributions.</param>
    internal static void Require(string library, string package)
    {
        if (!OperatingSystem.IsLinux() || !NativeLibrary.TryLoad(library, out _))
        {
            throw new BlockException(
                BlockError.NotSupported,
                $"images in RBD need the library {library}, which cannot be loaded: install the package {package}");
        }
    }
}
