using Paddock.Block;
using Paddock.Images;
using Paddock.Images.Text;
using Paddock.Qcow2;

namespace Paddock.Cli.Native;

/// <summary>`paddock demo`: demonstrates a zoned image step by step, in a temporary directory.</summary>
public sealed class Demo
{
    private const long Mebibyte = 1 << 20;
    private const long ZoneSize = 4 * Mebibyte;
    private readonly NativeConsole _console;
    private readonly string _path;
    private int _step;

    private Demo(NativeConsole console, string path)
    {
        _console = console;
        _path = path;
    }

    /// <summary>Runs the demo.</summary>
    /// <exception cref="ToolException">A step did not have the expected result.</exception>
    public static async ValueTask RunAsync(NativeConsole console, CancellationToken cancellationToken = default)
    {
        using var folder = TemporaryFolder.Create("paddock-demo-");
        await new Demo(console, folder["demo.qcow2"]).PlayAsync(cancellationToken);
    }

    private async ValueTask PlayAsync(CancellationToken cancellationToken)
    {
        Say("Create a disk of 256 MiB: 64 zones of 4 MiB (capacity 3 MiB), 4 of them conventional; at most 3 open and 6 active.");
        await CreateVerb.RunAsync(_path, Options(), force: false, json: false, _console, cancellationToken);
        await using (var device = await OpenAsync(cancellationToken))
        {
            await WriteAsync(device, cancellationToken);
            await AppendAsync(device, cancellationToken);
            await FillAndResetAsync(device, cancellationToken);
            Say("The zones at this point:");
            await MapAsync(device, cancellationToken);
        }

        Say("Close and reopen the image: write pointers are unchanged, open zones are closed.");
        await using (var device = await OpenAsync(cancellationToken))
        {
            await CheckReopenedAsync(device, cancellationToken);
            await MapAsync(device, cancellationToken);
        }

        Say("Check the image, including its zone table.");
        if (await CheckVerb.RunAsync(_path, Qcow2Repair.None, json: false, _console, cancellationToken: cancellationToken)
            != NativeExit.Success)
        {
            throw new ToolException("the image of the demo has errors: this is a bug in Paddock; please report it");
        }

        _console.Out.WriteLine();
        _console.Out.WriteLine("End of the demo; its image was removed. 'paddock --help' lists the commands.");
    }

    private static Qcow2CreateOptions Options() => new()
    {
        Size = 64 * ZoneSize,
        Zoned = new ZonedCreateOptions
        {
            ZoneSize = ZoneSize,
            ZoneCapacity = 3 * Mebibyte,
            ConventionalZones = 4,
            MaxOpenZones = 3,
            MaxActiveZones = 6,
        },
    };

    private async ValueTask WriteAsync(IBlockDevice device, CancellationToken cancellationToken)
    {
        Say("Write zone 4 sequentially: three writes of 512 KiB at the write pointer.");
        byte[] data = Pattern(512 * 1024, 0x5a);
        for (int i = 0; i < 3; i++)
        {
            await device.WriteAsync((4 * ZoneSize) + (i * data.Length), data, WriteFlags.None, cancellationToken);
        }

        await ShowAsync(device, 4, cancellationToken);
        Say("A write 1 MiB beyond the write pointer is rejected:");
        try
        {
            await device.WriteAsync((4 * ZoneSize) + (5 * Mebibyte / 2), data.AsMemory(0, 4096), WriteFlags.None, cancellationToken);
        }
        catch (ZoneException e)
        {
            _console.Out.WriteLine($"   rejected: {e.Message}");
            await ShowAsync(device, 4, cancellationToken);
            return;
        }

        throw new ToolException("a write beyond the write pointer was accepted: this is a bug in Paddock; please report it");
    }

    private async ValueTask AppendAsync(IBlockDevice device, CancellationToken cancellationToken)
    {
        Say("Two appends to zone 5 specify only the zone; the disk returns the offset of the data.");
        for (int i = 0; i < 2; i++)
        {
            long at = await device.Zones!.AppendAsync(5 * ZoneSize, Pattern(65536, 0x11), cancellationToken: cancellationToken);
            _console.Out.WriteLine($"   appended at {at} (0x{at:x})");
        }
    }

    private async ValueTask FillAndResetAsync(IBlockDevice device, CancellationToken cancellationToken)
    {
        Say("Fill zones 6 to 9, finish zone 10 early, and open zone 11 explicitly.");
        for (int zone = 6; zone <= 9; zone++)
        {
            await device.Zones!.AppendAsync(zone * ZoneSize, Pattern(3 * (int)Mebibyte, 0x22), cancellationToken: cancellationToken);
        }

        await device.Zones!.AppendAsync(10 * ZoneSize, Pattern(4096, 0x33), cancellationToken: cancellationToken);
        await device.Zones!.ManageAsync(ZoneAction.Finish, 10 * ZoneSize, ZoneSize, cancellationToken);
        await device.Zones!.ManageAsync(ZoneAction.Open, 11 * ZoneSize, ZoneSize, cancellationToken);
        await ShowAsync(device, 9, cancellationToken);

        Say("Reset zone 9: it is empty and reads as zeroes.");
        await device.Zones!.ManageAsync(ZoneAction.Reset, 9 * ZoneSize, ZoneSize, cancellationToken);
        byte[] read = new byte[4096];
        await device.ReadAsync(9 * ZoneSize, read, cancellationToken);
        if (read.AsSpan().ContainsAnyExcept((byte)0))
        {
            throw new ToolException("a reset zone does not read as zeroes: this is a bug in Paddock; please report it");
        }

        await ShowAsync(device, 9, cancellationToken);
    }

    private async ValueTask CheckReopenedAsync(IBlockDevice device, CancellationToken cancellationToken)
    {
        var zone = (await ReportAsync(device, 4, cancellationToken))[0];
        byte[] read = new byte[4096];
        await device.ReadAsync(zone.WritePointer - read.Length, read, cancellationToken);
        if (zone.WritePointer != (4 * ZoneSize) + (3 * Mebibyte / 2) || read.AsSpan().ContainsAnyExcept((byte)0x5a))
        {
            throw new ToolException("zone 4 lost data or its write pointer: this is a bug in Paddock; please report it");
        }

        await ShowAsync(device, 4, cancellationToken);
    }

    private async ValueTask<IBlockDevice> OpenAsync(CancellationToken cancellationToken)
    {
        var device = await NativeImage.OpenAsync(_path, writable: true, _console, cancellationToken);
        return device;
    }

    private async ValueTask ShowAsync(IBlockDevice device, int index, CancellationToken cancellationToken)
    {
        var zone = (await ReportAsync(device, index, cancellationToken))[0];
        _console.Out.WriteLine(
            $"   zone {index}: {ZoneNames.Name(zone.Condition)}, pointer 0x{zone.WritePointer:x}, "
            + $"{SizeText.Human(Math.Min(zone.WritePointer - zone.Start, zone.Capacity))} of {SizeText.Human(zone.Capacity)} written");
    }

    private static async ValueTask<ZoneDescriptor[]> ReportAsync(IBlockDevice device, int index, CancellationToken cancellationToken)
    {
        var report = new ZoneDescriptor[1];
        await device.Zones!.ReportAsync(index * ZoneSize, report, cancellationToken);
        return report;
    }

    private async ValueTask MapAsync(IBlockDevice device, CancellationToken cancellationToken)
    {
        _console.Out.WriteLine();
        await new ZoneMap(_console, _console.Colors.Auto).DrawAsync(device, "demo.qcow2", ZoneFilter.All, cancellationToken);
    }

    private static byte[] Pattern(int length, byte value)
    {
        byte[] data = new byte[length];
        data.AsSpan().Fill(value);
        return data;
    }

    private void Say(string what)
    {
        _console.Out.WriteLine();
        _console.Out.WriteLine($"{++_step}. {what}");
        // a reader sees the step before it runs, also if it takes long or fails
        _console.Out.Flush();
    }
}
