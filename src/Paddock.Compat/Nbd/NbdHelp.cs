namespace Paddock.Compat.Nbd;

/// <summary>What `paddock nbd --help` and `--version` print.</summary>
internal static class NbdHelp
{
    private static readonly string[] Lines =
    [
        "Serves an image over NBD, or lists the exports of a server.",
        "",
        "  -p, --port PORT          port to listen on (10809)",
        "  -b, --bind ADDRESS       address to listen on (0.0.0.0)",
        "  -k, --socket PATH        listen on a Unix socket",
        "  -e, --shared NUM         maximum number of clients, 0: no limit (1)",
        "  -t, --persistent         keep running when the last client disconnects",
        "  -x, --export-name NAME   name of the export (empty)",
        "  -D, --description TEXT   description of the export",
        "      --handshake-limit N  time limit for the handshake, in seconds (10)",
        "  -o, --offset OFFSET      offset of the export in the image",
        "  -A, --allocation-depth   offer the metadata context qemu:allocation-depth",
        "  -f, --format FMT         format of the image (probed)",
        "  -r, --read-only          reject writes",
        "      --resize             allow clients to resize the export (experimental extension)",
        "      --backing POLICY     allowed backing files: none, same-directory or any (same-directory)",
        "  -s, --snapshot           keep changes in memory and discard them on exit",
        "  -n, --nocache            short for --cache=none",
        "      --cache MODE         none, writeback, writethrough, directsync or unsafe",
        "      --aio MODE           accepted for compatibility: native, threads or io_uring",
        "      --discard MODE       ignore or unmap",
        "      --detect-zeroes MODE off, on or unmap",
        "      --image-opts         FILE is a list of options",
        "      --object TYPE,id=ID  tls-creds-x509,id=ID,dir=PATH,endpoint=server|client[,verify-peer=off]",
        "                           tls-creds-psk,id=ID,dir=PATH,endpoint=server|client[,username=NAME]",
        "                           authz-simple,id=ID,identity=NAME; authz-list and authz-list-file",
        "      --tls-creds ID       TLS credentials to use",
        "      --tls-authz ID       access rules to use",
        "      --tls-hostname NAME  name in the certificate of the server (with -L)",
        "  -c, --connect DEVICE     serve the image as a kernel device such as /dev/nbd0",
        "  -d, --disconnect         disconnect the kernel device FILE",
        "      --selinux-label L    SELinux label of the listening socket",
        "  -T, --trace PATTERN      accepted for compatibility",
        "      --fork               run in the background when ready",
        "      --pid-file PATH      write the process ID to PATH",
        "  -L, --list               list the exports of a server",
        "  -v, --verbose            report why clients were rejected",
        "  -h, --help               show this help",
        "  -V, --version            show the version",
        "",
        "A zoned image can be read anywhere and accepts sequential writes; the client is told why a write",
        "was rejected.",
    ];

    public static void Print(ToolContext ctx, bool version)
    {
        if (version)
        {
            ctx.Line($"{ctx.Program} 10.0.2 (Paddock)");
            return;
        }

        ctx.Line($"Usage: {ctx.Program} [OPTIONS] FILE");
        ctx.Line($"  or:  {ctx.Program} -L [OPTIONS]");
        foreach (string line in Lines)
        {
            ctx.Line(line);
        }
    }
}
