using Paddock.Block;
using Paddock.Nbd.Client;
using Paddock.Nbd.Wire;

namespace Paddock.Nbd.Tests;

/// <summary>The chunks of a read cover every byte exactly once, so that old buffer contents are never returned as data.</summary>
public class ReadPartsTests
{
    private const int Length = 4096;

    [Theory]
    [InlineData(0, 4096)]
    [InlineData(0, 512, 512, 3584)]
    [InlineData(2048, 2048, 0, 2048)]
    [InlineData(3072, 1024, 1024, 1024, 0, 1024, 2048, 1024)]
    public void Chunk_order_does_not_matter(params int[] parts)
        => Assert.Null(Record.Exception(() => Take(parts).GetAwaiter().GetResult()));

    [Theory]
    [InlineData(0, 2048, 0, 2048)]
    [InlineData(0, 2048, 1024, 2048)]
    [InlineData(2048, 2048, 2048, 2048)]
    [InlineData(2048, 1024, 1024, 2048)]
    [InlineData(2048, 1024, 0, 3072)]
    [InlineData(0, 4096, 0, 512)]
    [InlineData(0, 0)]
    public void Duplicate_or_empty_chunk_closes_the_connection(params int[] parts)
        => Assert.IsType<NbdProtocolException>(Record.Exception(() => Take(parts).GetAwaiter().GetResult()));

    [Theory]
    [InlineData]
    [InlineData(0, 2048)]
    [InlineData(2048, 2048)]
    public void Read_with_a_missing_chunk_fails(params int[] parts)
        => Assert.IsType<BlockException>(Record.Exception(() => Take(parts).GetAwaiter().GetResult()));

    private static Task Take(int[] parts)
    {
        var call = new ClientCall(static _ => { }, 0);
        call.Begin(new NbdRequest(0, NbdCommand.Read, 0, 8192, Length), new byte[Length]);
        foreach (int[] part in parts.Chunk(2))
        {
            call.Part(8192 + (ulong)part[0], (ulong)part[1]);
        }

        call.Complete();
        return call.Task.AsTask();
    }
}
