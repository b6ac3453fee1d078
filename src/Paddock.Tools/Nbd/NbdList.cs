namespace Paddock.Tools.Nbd;

/// <summary><c>-L</c>: what a server has.</summary>
internal static class NbdList
{
    public static Task<int> RunAsync(NbdArguments given, ToolContext ctx)
        => throw new ToolException($"{given.SocketPath ?? ctx.Program}: listing comes with the client");
}
