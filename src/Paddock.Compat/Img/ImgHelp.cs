namespace Paddock.Compat.Img;

/// <summary>What <c>--help</c> prints for each command.</summary>
internal static class ImgHelp
{
    private const string Input = "-f FMT|format of the image (default: probed)\n--image-opts|the name is a list of options, such as "
        + "driver=raw,file.filename=disk\n"
        + "-U|open it even if another process writes to it\n";

    private const string Lines = "--output human|json|output format (human)\n";

    private static readonly Dictionary<string, (string Does, string Usage, string Options, string Example)> Commands = new()
    {
        ["amend"] = ("Changes options of an image.", "[OPTION]... -o OPTIONS FILENAME", Input
            + "-o OPTIONS|zone_layout=a or zone_layout=c, and size\n-t CACHE|cache mode\n--force|accepted for compatibility\n"
            + "-p|show progress\n-q|print nothing\n", "-o zone_layout=c disk.qcow2"),
        ["bench"] = ("Measures the time of requests of one kind.", "[OPTION]... FILENAME", Input
            + "-c COUNT|requests to send (75000)\n-d DEPTH|queue depth (64)\n-s SIZE|bytes in a request (4096)\n"
            + "-S STEP|bytes from one request to the next (the size)\n-o OFFSET|offset of the first request (0)\n-w|write instead of read\n"
            + "--pattern BYTE|what to write (0)\n--flush-interval N|flush after every N writes\n--no-drain|do not wait for a flush\n"
            + "-t CACHE|none, writeback, unsafe, writethrough or directsync\n-i AIO, -n|accepted for compatibility\n",
            "-w -t none -c 10000 disk.qcow2"),
        ["bitmap"] = ("Changes a persistent bitmap of an image; actions run in the given order.",
            "[OPTION]... ACTION... FILENAME BITMAP", Input
            + "--add|add the bitmap, enabled\n--remove|remove it\n--clear|clear it\n"
            + "--enable, --disable|start or stop the recording of changes\n"
            + "--merge SOURCE|merge another bitmap into it\n-b NAME, -F FMT|image that has SOURCE, and its format\n"
            + "-g SIZE|with --add: bytes that a bit stands for (the cluster size, 4k to 64k)\n", "--add -g 64k disk.qcow2 backup1"),
        ["check"] = ("Checks an image and repairs it with -r.", "[OPTION]... FILENAME", Input + Lines
            + "-r leaks|all|repair leaked clusters, or everything that can be repaired\n-q|print nothing\n", "-r leaks disk.qcow2"),
        ["commit"] = ("Writes an image's changes into its backing file, and empties the image.", "[OPTION]... FILENAME", Input
            + "-b NAME|write into this image of the chain instead; implies -d\n-d|leave the image as it is\n"
            + "-r RATE|maximum bytes per second\n-t CACHE|cache mode\n-p|show progress\n-q|print nothing\n", "-p overlay.qcow2"),
        ["compare"] = ("Compares the contents of two images.", "[OPTION]... FILENAME1 FILENAME2", Input
            + "-F FMT|the second image's format\n-s|compare sizes and allocation too\n-p|show progress\n-q|print nothing\n",
            "disk.raw disk.qcow2"),
        ["convert"] = ("Converts an image to another format.", "[OPTION]... FILENAME... OUTPUT", Input
            + "-O FMT|format of the output (raw)\n-o OPTIONS|options of the output\n-c|compress the output\n"
            + "-n|write to an existing output; zones that are written are reset first\n--target-is-zero|with -n: the output reads as "
            + "zeroes\n"
            + "-B NAME, -F FMT|backing file of the output, with the same contents as that of the input\n"
            + "-S SIZE|shortest run of zeroes to leave out; 0 allocates all (4k)\n-t CACHE, -T CACHE|cache mode of the output (unsafe) and "
            + "of the input\n"
            + "-m N|requests in parallel, 1 to 16 (8)\n-W|allow writes out of order\n-r RATE|maximum bytes per second\n"
            + "--bitmaps|copy persistent bitmaps\n--skip-broken-bitmaps|leave out inconsistent ones\n"
            + "-C|let the file system copy between raw files\n--salvage|replace unreadable sectors by zeroes, with a "
            + "warning\n"
            + "--target-image-opts|with -n: the output is a list of options\n-p|show progress\n--progress=json|"
            + "progress for programs, on standard error\n-q|no warnings, no progress\n",
            "-p -O qcow2 disk.raw disk.qcow2"),
        ["create"] = (
            "Creates an image.", "[OPTION]... FILENAME [SIZE]", "-f FMT|raw or qcow2 (raw)\n-o OPTIONS|format options; -o help lists them\n"
            + "-b NAME, -F FMT|backing file and its format\n-u|do not open the backing file\n-q|print nothing\n",
            "-f qcow2 -o zone_model=host-managed,zone_size=64M disk.qcow2 8G"),
        ["dd"] = ("Copies blocks of an image into a new image.", "[OPTION]... if=INPUT of=OUTPUT [bs=SIZE] [count=N] [skip=N]", Input
            + "-O FMT|the output's format (raw)\n", "-O qcow2 bs=1M skip=1 if=disk.raw of=rest.qcow2"),
        ["info"] = ("Shows information about an image.", "[OPTION]... FILENAME", Input + Lines
        + "-b|include backing files\n", "--output=json disk.qcow2"),
        ["map"] = ("Shows the allocation of an image.", "[OPTION]... FILENAME", Input + Lines
            + "-s OFFSET|start offset\n-l LENGTH|number of bytes\n", "--output=json disk.qcow2"),
        ["measure"] = ("Calculates the file size of a new image.", "[OPTION]... (--size SIZE | FILENAME)", Input + Lines
            + "-O FMT|the new image's format (raw)\n-o OPTIONS|its options\n--size SIZE|its size, instead of an image to convert\n",
            "-O qcow2 --size 100G"),
        ["rebase"] = ("Gives an image another backing file, or none.", "[OPTION]... -b NAME -F FMT FILENAME", Input
            + "-b NAME|the new backing file; \"\" for none\n-F FMT|its format\n"
            + "-u|change the name only; both backing files must hold the same data\n"
            + "-c|compress what is written into the image\n-t CACHE, -T CACHE|cache mode of the image and of the new backing file\n"
            + "-p|show progress\n-q|print nothing\n", "-b base2.qcow2 -F qcow2 overlay.qcow2"),
        ["resize"] = ("Changes the size of an image.", "[OPTION]... FILENAME [+|-]SIZE", Input
            + "--shrink|allow shrinking, which removes data\n--preallocation MODE|off, metadata, falloc or full\n-q|print nothing\n",
            "disk.qcow2 +1G"),
        ["snapshot"] = ("Lists, takes, deletes and applies internal snapshots.", "[OPTION]... [-l | -c NAME | -d NAME | -a NAME] FILENAME",
            Input + "-l|list the snapshots (the default)\n-c NAME|take a snapshot\n-d NAME|delete a snapshot\n"
            + "-a NAME|go back to a snapshot, by ID or name\n-q|print nothing\n", "-c before-update disk.qcow2"),
    };

    /// <summary>Prints the help of a command.</summary>
    public static void Print(ToolContext ctx, string command)
    {
        var (does, usage, options, example) = Commands[command];
        ctx.Line($"{does}\n\nUsage: {ctx.Program} {command} {usage}\n\nOptions:");
        foreach (string option in options.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            int bar = option.LastIndexOf('|');
            ctx.Line($"  {option[..bar],-22} {option[(bar + 1)..]}");
        }

        ctx.Line($"\nExample:\n  {ctx.Program} {command} {example}");
    }

    /// <summary>What a command does, in a line.</summary>
    public static string Summary(string command) => Commands[command].Does;
}
