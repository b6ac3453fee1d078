using Paddock.Images;
using Paddock.Images.Nodes;
using Paddock.Images.Text;
using Paddock.Rbd;

namespace Paddock.Compat.Img;

/// <summary>The options that formats take for new images, and for amending existing ones.</summary>
internal static class FormatOptions
{
    private const string Version = "Compatibility level (v2 [0.10] or v3 [1.1])";

    private static readonly FormatOption[] Qcow2 =
    [
        new("backing_file", OptionType.Text, "File name of a base image"),
        new("backing_fmt", OptionType.Text, "Image format of the base image"),
        new("cluster_size", OptionType.Size, "qcow2 cluster size"),
        new("compat", OptionType.Text, Version),
        new("compression_type", OptionType.Text, "Compression method used for image cluster compression"),
        new("data_file", OptionType.Text, "File name of an external data file"),
        new("data_file_raw", OptionType.Flag, "The external data file must stay valid as a raw image"),
        .. EncryptionCreate.Qcow2,
        new("extended_l2", OptionType.Flag, "Extended L2 tables"),
        new("lazy_refcounts", OptionType.Flag, "Postpone refcount updates"),
        new("preallocation", OptionType.Text, "Preallocation mode (allowed values: off, metadata, falloc, full)"),
        new("refcount_bits", OptionType.Number, "Width of a reference count entry in bits"),
        new("size", OptionType.Size, "Virtual disk size"),
    ];

    private static readonly FormatOption[] Raw = [new("size", OptionType.Size, "Virtual disk size")];

    private static readonly FormatOption[] File =
    [
        new("extent_size_hint", OptionType.Size, "Extent size hint for the image file, 0 to disable"),
        new("nocow", OptionType.Flag, "Turn off copy-on-write (valid only on btrfs)"),
        new("preallocation", OptionType.Text, "Preallocation mode (allowed values: off, falloc, full)"),
    ];

    private static readonly FormatOption[] Rbd =
    [
        new("cluster_size", OptionType.Size, "RBD object size"),
        new("preallocation", OptionType.Text, "Preallocation mode (allowed values: off)"),
    ];

    /// <summary>Ours alone: QEMU's tests compare the help, so it does not list them (docs/formats/zoned-qcow2.md does).</summary>
    private static readonly FormatOption[] Zones =
    [
        new("conventional_zones", OptionType.Number, "Number of leading zones that are conventional"),
        new("max_active_zones", OptionType.Number, "Limit on open and closed zones, 0 for none"),
        new("max_append_bytes", OptionType.Size, "Longest zone append"),
        new("max_open_zones", OptionType.Number, "Limit on open zones, 0 for none"),
        new("zone_capacity", OptionType.Size, "Writable bytes in a zone"),
        new("zone_layout", OptionType.Text, "On-disk layout of the zoned extension (allowed values: a, c)"),
        new("zone_model", OptionType.Text, "Zone model (allowed values: host-managed, non-zoned)"),
        new("zone_size", OptionType.Size, "Bytes in a zone"),
    ];

    private static readonly FormatOption[] Amended =
    [
        new("backing_file", OptionType.Text, "File name of a base image"),
        new("backing_fmt", OptionType.Text, "Image format of the base image"),
        new("compat", OptionType.Text, Version),
        new("data_file", OptionType.Text, "File name of an external data file"),
        new("data_file_raw", OptionType.Flag, "The external data file must stay valid as a raw image"),
        new("encrypt.iter-time", OptionType.Number, "Time to spend in PBKDF in milliseconds"),
        new("encrypt.keyslot", OptionType.Number, "Select a single keyslot to modify explicitly"),
        new("encrypt.new-secret", OptionType.Text, "New secret to set in the matching keyslots. Empty string to erase"),
        new("encrypt.old-secret", OptionType.Text, "Select all keyslots that match this password"),
        new("encrypt.state", OptionType.Text, "Select new state of affected keyslots (active/inactive)"),
        new("lazy_refcounts", OptionType.Flag, "Postpone refcount updates"),
        new("refcount_bits", OptionType.Number, "Width of a reference count entry in bits"),
        new("size", OptionType.Size, "Virtual disk size"),
    ];

    private static readonly FormatOption[] AmendedLuks =
        [.. Amended.Where(static o => o.Name.StartsWith(EncryptionCreate.Prefix, StringComparison.Ordinal))
            .Select(static o => o with { Name = o.Name[EncryptionCreate.Prefix.Length..] })];

    private static readonly FormatOption ZoneLayout = Zones[5];

    /// <summary>Formats of QEMU that Paddock does not have, with those that no program creates.</summary>
    private static readonly string[] Foreign =
        ["parallels", "qcow", "qed", "vdi", "vhdx", "vmdk", "vpc"], ReadOnly = ["bochs", "cloop", "dmg"];

    /// <summary>Whether a format is one of QEMU's.</summary>
    public static bool IsKnown(string format)
        => format is "raw" or "qcow2" or FormatProbe.Luks || Foreign.Contains(format) || ReadOnly.Contains(format);

    /// <summary>Refuses a format that there is not, or that is only read.</summary>
    public static void RequireCreatable(string format)
    {
        if (ReadOnly.Contains(format))
        {
            throw new ToolException($"Format driver '{format}' does not support image creation");
        }

        NewImage.RequireFormat(format);
    }

    /// <summary>The option of a name for a new image; null where the format does not take it.</summary>
    /// <param name="name">The option.</param>
    /// <param name="format">The format.</param>
    /// <param name="isRbd">Whether the image is in RBD, so that options of the file are others.</param>
    public static FormatOption? ForCreate(string name, string format, bool isRbd = false)
        => Of(format).Concat(format == "qcow2" ? Zones : []).Concat(isRbd ? Rbd : File).FirstOrDefault(o => o.Name == name);

    /// <summary>The option of a name for amending an image of a format.</summary>
    /// <exception cref="ToolException">It is not one.</exception>
    public static FormatOption ForAmend(string name, string format)
        => (format == FormatProbe.Luks ? AmendedLuks : Amended.Append(ZoneLayout)).FirstOrDefault(o => o.Name == name)
            ?? throw new ToolException($"Invalid parameter '{name}'"
                + (Of(format).Any(o => o.Name == name) ? "\nThis option is only supported for image creation" : ""));

    /// <summary>Prints the options of a new image: with a file name those of the file too.</summary>
    /// <param name="ctx">Receives them.</param>
    /// <param name="format">The format.</param>
    /// <param name="fileName">The file name; null: none is given.</param>
    public static void PrintCreate(ToolContext ctx, string format, string? fileName)
    {
        var options = Of(format);
        if (fileName is not null)
        {
            var file = RbdTarget.IsName(fileName) ? Rbd[..1] : File;
            Print(ctx, "Supported options:", [.. options, .. file.Where(o => options.All(known => known.Name != o.Name))]);
            return;
        }

        Print(ctx, $"Supported {format} options:", options);
        ctx.Line("\nThe protocol level may support further options.\nSpecify the target filename to include those options.");
    }

    /// <summary>Prints the options of amend.</summary>
    public static void PrintAmend(ToolContext ctx, string format)
        => Print(ctx, $"Amend options for '{format}':", format == FormatProbe.Luks ? AmendedLuks : Amended);

    /// <summary>Refuses a list that begins or ends within an item, so that joined lists would have items that no list has.</summary>
    /// <exception cref="ToolException">The list is not whole.</exception>
    public static void RequireList(string list)
    {
        int trailing = list.Length - list.TrimEnd(',').Length;
        if (list.Length == 0 || trailing % 2 == 1 || list[0] == ',')
        {
            throw new ToolException($"Invalid option list: {list}");
        }
    }

    private static IReadOnlyList<FormatOption> Of(string format)
        => format switch { "raw" => Raw, FormatProbe.Luks => EncryptionCreate.Luks, _ => Qcow2 };

    private static void Print(ToolContext ctx, string title, IEnumerable<FormatOption> options)
    {
        ctx.Line(title);
        foreach (var option in options.OrderBy(static o => o.Name, StringComparer.Ordinal))
        {
            ctx.Line(option.Line);
        }
    }
}
