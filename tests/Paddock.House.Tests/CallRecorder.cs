using System.Reflection;
using Paddock.Block;

namespace Paddock.House.Tests;

/// <summary>
/// An object of any interface that records the calls it gets, and answers each with a value that can be told from a default.
/// </summary>
public class CallRecorder : DispatchProxy
{
    private readonly Dictionary<MethodInfo, object?> _answers = [];

    /// <summary>The calls, in order; those of the objects that it has handed out are among them.</summary>
    public List<(MethodInfo Method, object?[] Arguments)> Calls { get; private set; } = [];

    /// <summary>Makes one.</summary>
    public static object Of(Type type) => Create(type, typeof(CallRecorder));

    /// <summary>A value that can be told from the default of its type.</summary>
    public static object? Sample(Type type)
        => type == typeof(long) ? 1L << 20
            : type == typeof(int) ? 3
            : type == typeof(bool) ? true
            : type == typeof(string) ? "sample"
            : type == typeof(Memory<byte>) ? new Memory<byte>(new byte[4096])
            : type == typeof(ReadOnlyMemory<byte>) ? new ReadOnlyMemory<byte>(Filled())
            : type == typeof(Memory<ZoneDescriptor>) ? new Memory<ZoneDescriptor>(new ZoneDescriptor[2])
            : type == typeof(BlockLimits) ? new BlockLimits(512, 1 << 20, 4096)
            : type == typeof(BlockStatus) ? new BlockStatus(512, BlockStatusFlags.Data)
            : type == typeof(ZonedLimits) ? new ZonedLimits(1 << 20, 1 << 20, 64, 0, 5, 6, 1 << 20)
            : type == typeof(ZoneFindings) ? new ZoneFindings(0, 7)
            : type == typeof(CancellationToken) ? CancellationToken.None
            : type.IsEnum ? Enum.GetValues(type).GetValue(1)
            : type.IsInterface ? Of(type)
            : null;

    /// <inheritdoc/>
    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args)
    {
        Calls.Add((targetMethod!, args ?? []));
        if (!_answers.TryGetValue(targetMethod!, out object? answer))
        {
            _answers[targetMethod!] = answer = AnswerOf(targetMethod!);
        }

        return answer;
    }

    private object? AnswerOf(MethodInfo method)
    {
        var type = method.ReturnType;
        if (type == typeof(void))
        {
            return null;
        }

        if (type == typeof(ValueTask))
        {
            return default(ValueTask);
        }

        if (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(ValueTask<>))
        {
            var result = type.GetGenericArguments()[0];
            return Activator.CreateInstance(type, result == typeof(int) ? 0 : Sample(result));
        }

        // writable, and larger than what is asked for
        object? answer = method.Name switch { "get_Length" => 1L << 30, "get_IsReadOnly" => false, _ => Sample(type) };
        if (answer is CallRecorder part)
        {
            part.Calls = Calls;
        }

        return answer;
    }

    private static byte[] Filled()
    {
        byte[] bytes = new byte[4096];
        bytes.AsSpan().Fill(7);
        return bytes;
    }
}
