using System.Reflection;
using Paddock.Block;

namespace Paddock.House.Tests;

/// <summary>Sends every member of the seam through every decorator and sees it arrive below.</summary>
public class DecoratorTests
{
    private static readonly Type[] Seam =
        [typeof(IBlockDevice), typeof(IZones), typeof(IZoneAttributes), typeof(IRangeCopy), typeof(IUnreadableRanges), typeof(IStorage)];

    /// <summary>What a decorator keeps to itself, and why.</summary>
    private static readonly Dictionary<string, string> Kept = new()
    {
        ["ExportDevice.Zones"] = "NBD has no zones",
        ["ExportDevice.DisposeAsync"] = "the disk is not owned",
        ["CopyOnReadDevice.ReadAsync"] = "reads whole clusters",
        ["CompressDevice.WriteAsync"] = "writes clusters compressed",
        ["CompressDevice.WriteZeroesAsync"] = "writes clusters that are zero in part compressed",
        ["KeptClustersDevice.DiscardAsync"] = "makes zeroes of it",
        ["PreallocateDevice.ResizeAsync"] = "makes the storage longer than the disk",
        ["PreallocateDevice.Length"] = "the storage may be longer than the disk",
        ["SpacePolicyDevice.DiscardAsync"] = "discard=ignore",
        ["SpacePolicyStorage.DiscardAsync"] = "discard=ignore",
        ["VerifyDevice.Zones"] = "a reference has no zones",
        ["VerifyDevice.DiscardAsync"] = "the two disks could differ afterwards",
        ["VerifyDevice.ResizeAsync"] = "the two disks have one size",
        ["ThrottleDevice.RangeCopy"] = "the limits are those of reads and writes",
        ["CompressDevice.RangeCopy"] = "a copy is written compressed",
        ["PreallocateDevice.RangeCopy"] = "a copy is a write, which makes the storage longer",
        ["KeptClustersDevice.RangeCopy"] = "a copy would free clusters",
        ["VerifyDevice.UnreadableRanges"] = "the reference keeps none",
        ["ExportDevice.UnreadableRanges"] = "NBD has none",
        ["VerifyDevice.RangeCopy"] = "the reference gets each write",
        ["CopyOnReadDevice.RangeCopy"] = "a copy reads whole clusters",
        ["ProbedRawDevice.RangeCopy"] = "each write of the first sector is looked at",
        ["CacheDevice.RangeCopy"] = "each write is flushed",
        ["ExportDevice.RangeCopy"] = "NBD has no copies",
        ["DiskWindow.Backing"] = "its status is that of the whole, backing image included",
        ["DiskWindow.Zones"] = "the zones of a part are made for it",
        ["DiskWindow.ResizeAsync"] = "a part has the size that the disk leaves it",
        ["DiskWindow.DisposeAsync"] = "the disk is not owned",
        ["LentStorage.DisposeAsync"] = "the storage is not owned",
        ["SharedStorage.DisposeAsync"] = "the image that is served owns it",
        ["SharedDevice.DisposeAsync"] = "the image that is served owns it",
    };

    /// <summary>Classes that have a device or storage below and are no decorators of it, and why.</summary>
    private static readonly Dictionary<string, string> Others = new()
    {
        ["ZonedImage"] = "a device over the engine",
        ["VolatileStorage"] = "a cache: changes arrive with a flush",
        ["FaultDevice"] = "sends its requests through a FaultStorage",
        ["ServedZones"] = "reached through ServedDevice",
        ["CheckedUnreadable"] = "reached through CheckedDevice",
        ["UnreadableWindow"] = "reached through DiskWindow",
        ["OwnedUnreadableRanges"] = "reached through OwnedDevice",
        ["ServedRangeCopy"] = "reached through ServedDevice",
        ["ServedAttributes"] = "reached through ServedDevice",
        ["AttributeWindow"] = "reached through ZoneWindow",
        ["CheckedAttributes"] = "reached through CheckedDevice",
        ["NbdDisk"] = "takes a connection, which needs a server",
        ["NewImageStorage"] = "has a length of its own, and asks nobody for what is past it",
        ["ChangesView"] = "has only what changed of a disk",
        ["ChainView"] = "puts a disk together from backups",
    };

    private static readonly Assembly[] Assemblies =
        [.. Directory.GetFiles(AppContext.BaseDirectory, "Paddock.*.dll").Select(Path.GetFileNameWithoutExtension)
            .Where(name => !name!.EndsWith(".Tests", StringComparison.Ordinal)).Select(name => Assembly.Load(name!))];

    public static TheoryData<string> Decorators
        => [.. Types().Where(t => IsDecorator(t) && !Others.ContainsKey(t.Name)).Select(t => t.Name).Distinct()];

    [Theory]
    [MemberData(nameof(Decorators))]
    public void Decorator_passes_every_member_on(string name)
    {
        foreach (var type in Types().Where(t => t.Name == name && IsDecorator(t)))
        {
            var missing = MissingFrom(type).Where(m => !Kept.ContainsKey($"{type.Name}.{m}")).ToArray();
            Assert.True(missing.Length == 0, $"{type.FullName} keeps to itself: {string.Join(", ", missing)}");
        }
    }

    [Fact]
    public void Class_with_a_device_or_storage_below_derives_from_the_delegating_base()
    {
        var bare = Types().Where(t => !IsDecorator(t) && !Others.ContainsKey(t.Name))
            .Where(t => Seam.Any(s => t.IsAssignableTo(s) && TakesOne(t, s)));
        Assert.Empty(bare.Select(t => t.FullName));
    }

    [Fact]
    public void Exceptions_name_what_exists()
    {
        var names = Types().Select(t => t.Name).ToHashSet();
        Assert.DoesNotContain(Others.Keys.Concat(Kept.Keys.Select(k => k.Split('.')[0])), n => !names.Contains(n));
    }

    [Fact]
    public void Forgotten_member_is_found()
    {
        Assert.Equal(["DiscardAsync", "ThrowIfFlushFailed"], MissingFrom(typeof(ForgetfulDevice)).Order());
        Assert.Equal(["AppendAsync"], MissingFrom(typeof(ForgetfulZones)));
        Assert.Equal(["ReserveAsync"], MissingFrom(typeof(ForgetfulStorage)));
    }

    private static IEnumerable<Type> Types()
        => Assemblies.SelectMany(a => a.GetTypes()).Where(t => t is { IsClass: true, IsAbstract: false });

    private static bool IsDecorator(Type type)
        => type.IsAssignableTo(typeof(DelegatingDevice)) || type.IsAssignableTo(typeof(DelegatingZones))
            || type.IsAssignableTo(typeof(DelegatingRangeCopy)) || type.IsAssignableTo(typeof(DelegatingStorage));

    private static bool TakesOne(Type type, Type seam)
        => type.GetConstructors(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)
            .Any(c => c.GetParameters().Any(p => p.ParameterType.IsAssignableTo(seam)));

    private static List<string> MissingFrom(Type type)
    {
        var missing = new List<string>();
        foreach (var seam in Seam.Where(type.IsAssignableTo))
        {
            var below = (CallRecorder)CallRecorder.Of(BelowOf(type, seam));
            Send(seam, Make(type, below), below, missing);
        }

        return missing;
    }

    // a device's own type where the decorator asks for one
    private static Type BelowOf(Type type, Type seam)
        => type.GetConstructors(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic).SelectMany(c => c.GetParameters())
            .Select(p => p.ParameterType).FirstOrDefault(p => p.IsInterface && p.IsAssignableTo(seam)) ?? seam;

    private static object Make(Type type, CallRecorder below)
    {
        var constructor = type.GetConstructors(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)
            .First(c => c.GetParameters() is [var p, ..] && p.ParameterType != type);
        return constructor.Invoke([.. constructor.GetParameters().Select(p => ArgumentOf(p, below))]);
    }

    private static object? ArgumentOf(ParameterInfo parameter, CallRecorder below)
    {
        var type = parameter.ParameterType;
        return type.IsInstanceOfType(below) ? below
            : parameter.HasDefaultValue ? parameter.DefaultValue
            : type == typeof(bool) ? true
            : type.IsInterface && type.IsGenericType ? Array.CreateInstance(type.GetGenericArguments()[0], 0)
            : type == typeof(string) ? ""
            : type.IsInterface ? CallRecorder.Of(type)
            : type.IsAssignableTo(typeof(DelegatingDevice)) ? Make(type, (CallRecorder)CallRecorder.Of(typeof(IBlockDevice)))
            : type.IsValueType || type.GetConstructor([]) is not null ? Activator.CreateInstance(type)
            : throw new InvalidOperationException($"no value for {parameter} of {parameter.Member.DeclaringType}");
    }

    private static void Send(Type seam, object upper, CallRecorder below, List<string> missing)
    {
        foreach (var method in seam.GetInterfaces().Append(seam).SelectMany(i => i.GetMethods())
            .OrderBy(m => m.Name == nameof(IAsyncDisposable.DisposeAsync)))
        {
            object?[] arguments = [.. method.GetParameters().Select(ArgumentOf)];
            int seen = below.Calls.Count;
            object? answer;
            try
            {
                answer = method.Invoke(upper, arguments);
                Wait(answer);
            }
            catch (TargetInvocationException e) when (e.InnerException is BlockException)
            {
                missing.Add(NameOf(method));
                continue;
            }

            var next = Array.Find(Seam, s => s == method.ReturnType);
            if (next is not null && next != typeof(IBlockDevice) && answer is not null)
            {
                // what it hands out may be made once, when it is
                Send(next, answer, below, missing);
            }
            else if (answer is null && next is not null || !below.Calls.Skip(seen).Any(c => Arrives(c, method, arguments)))
            {
                missing.Add(NameOf(method));
            }
        }
    }

    private static object? ArgumentOf(ParameterInfo parameter)
        => parameter.Name == "length" && parameter.Member.Name is "ResizeAsync" or "SetLengthAsync"
            ? 2L << 30 : CallRecorder.Sample(parameter.ParameterType);

    private static bool Arrives((MethodInfo Method, object?[] Arguments) call, MethodInfo method, object?[] arguments)
        => call.Method == method && call.Arguments.Zip(arguments).All(a => Same(a.First, a.Second));

    // a decorator may add a flag, and put an observer of its own before the caller's
    private static bool Same(object? got, object? sent) => sent switch
    {
        Enum flag when flag.GetType().GetCustomAttribute<FlagsAttribute>() is not null => ((Enum)got!).HasFlag(flag),
        IAppendObserver => got is not null,
        _ => Equals(got, sent),
    };

    private static string NameOf(MethodInfo method)
        => method.Name.StartsWith("get_", StringComparison.Ordinal) ? method.Name[4..] : method.Name;

    private static void Wait(object? answer)
    {
        switch (answer)
        {
            case ValueTask task:
                task.AsTask().Wait();
                break;
            case not null when answer.GetType() is { IsGenericType: true } type && type.GetGenericTypeDefinition() == typeof(ValueTask<>):
                ((Task)type.GetMethod("AsTask")!.Invoke(answer, null)!).Wait();
                break;
        }
    }

    private sealed class ForgetfulDevice(IBlockDevice device) : DelegatingDevice(device)
    {
        public override ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default) => default;

        public override void ThrowIfFlushFailed()
        {
        }
    }

    private sealed class ForgetfulZones(IZones zones) : DelegatingZones(zones)
    {
        // the observer is lost
        public override ValueTask<long> AppendAsync(
            long zoneStart, ReadOnlyMemory<byte> data, WriteFlags flags = WriteFlags.None, IAppendObserver? observer = null,
            CancellationToken cancellationToken = default)
            => Inner.AppendAsync(zoneStart, data, flags, null, cancellationToken);
    }

    private sealed class ForgetfulStorage(IStorage storage) : DelegatingStorage(storage)
    {
        public override ValueTask<bool> ReserveAsync(long offset, long length, bool grows, CancellationToken cancellationToken = default)
            => new(false);
    }
}
