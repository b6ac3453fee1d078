namespace Paddock.Compat.Nbd;

/// <summary>What `paddock nbd --help` and `--version` print.</summary>
internal static class NbdHelp
{
    private static readonly string[] Lines =
    [
        "Serves one image over NBD, or lists what a server has.",
        "",
        "  -p, --port PORT          port to listen on (10809)",
        "  -b, --bind ADDRESS       address to listen on (0.0.0.0)",
        "  -k, --socket PATH        listen on a Unix socket",
        "  -e, --shared NUM         clients at a time (1); 0 for any number",
        "  -t, --persistent         do not exit when the last client has left",
        "  -x, --export-name NAME   name of the export (empty)",
        "  -D, --description TEXT   a text for people",
        "      --handshake-limit N  seconds that a client may take to begin (10)",
        "  -o, --offset OFFSET      hide the first bytes of the image",
        "  -A, --allocation-depth   offer the context qemu:allocation-depth",
        "  -f, --format FMT         the image's format, instead of probing for it",
        "  -r, --read-only          take no changes",
        "      --resize             let clients change the size (an experimental extension; the file can grow)",
        "      --backing POLICY     backing files that the image may name: none, same-directory or any (same-directory)",
        "  -s, --snapshot           keep changes in memory, and drop them at the end",
        "  -n, --nocache            short for --cache=none",
        "      --cache MODE         none, writeback, writethrough, directsync or unsafe",
        "      --aio MODE           taken and ignored: native, threads or io_uring",
        "      --discard MODE       ignore or unmap",
        "      --detect-zeroes MODE off, on or unmap",
        "      --image-opts         take the file's name as an option list",
        "      --object TYPE,id=ID  tls-creds-x509,id=ID,dir=PATH,endpoint=server|client[,verify-peer=off]",
        "      --tls-creds ID       go through TLS with these credentials",
        "      --tls-hostname NAME  the name that the server's certificate must have (with -L)",
        "      --fork               go to the background when ready",
        "      --pid-file PATH      write the process's number there",
        "  -L, --list               list what a server has",
        "  -v, --verbose            say why clients were refused",
        "  -h, --help               this help",
        "  -V, --version            the version",
        "",
        "A zoned image is readable, and takes writes that follow its write rule; a refusal carries its reason to the client.",
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
