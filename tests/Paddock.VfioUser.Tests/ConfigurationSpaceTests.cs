using Paddock.VfioUser.Pci;

namespace Paddock.VfioUser.Tests;

/// <summary>PCI configuration space: values, bits that can be written, capabilities.</summary>
public class ConfigurationSpaceTests : IFunctionEvents
{
    private int _changes, _resets;

    [Fact]
    public void Header_identifies_an_nvme_controller()
    {
        var space = Create();
        Assert.Equal(0x10F01AF4u, Read32(space, 0));
        Assert.Equal(0x00100000u, Read32(space, 4));
        Assert.Equal(0x01080200u, Read32(space, 8));
        Assert.Equal(0, Read(space, 0x0E, 1)[0]);
        Assert.Equal(4u, Read32(space, 0x10));
        Assert.Equal(0x40, Read(space, 0x34, 1)[0]);
        Assert.Equal(1, Read(space, 0x3D, 1)[0]);
    }

    [Fact]
    public void Size_of_bar_0_can_be_probed()
    {
        var space = Create();
        Write32(space, 0x10, uint.MaxValue);
        Write32(space, 0x14, uint.MaxValue);
        Assert.Equal((0xFFFFC004u, uint.MaxValue), (Read32(space, 0x10), Read32(space, 0x14)));
        Write32(space, 0x18, uint.MaxValue);
        Write32(space, 0x30, uint.MaxValue);
        Assert.Equal((0u, 0u), (Read32(space, 0x18), Read32(space, 0x30)));
    }

    [Fact]
    public void Capabilities_form_a_list()
    {
        Assert.Equal([(0x40, 1), (0x50, 0x11), (0x60, 0x10)], CapabilitiesOf(Create()));
        Assert.Equal([(0x40, 1), (0x60, 0x10)], CapabilitiesOf(Create(vectors: 0)));
        Assert.Equal(0u, Read32(Create(), 0x100));
    }

    [Fact]
    public void MsiX_names_table_and_pending_bits_in_bar_0()
    {
        var space = Create();
        Assert.Equal(16, BitConverter.ToUInt16(Read(space, 0x52, 2)));
        Assert.Equal((0x2000u, 0x3000u), (Read32(space, 0x54), Read32(space, 0x58)));
        Write(space, 0x52, 0xFF, 0xFF);
        Assert.Equal(0xC010, BitConverter.ToUInt16(Read(space, 0x52, 2)));
        Assert.True(space.IsMsiXEnabled);
    }

    [Fact]
    public void Bus_mastering_needs_the_bit_and_full_power()
    {
        var space = Create();
        Assert.False(space.IsBusMaster);
        Write(space, 4, 6, 0);
        Assert.True(space.IsBusMaster);
        Write(space, 0x44, 3);
        Assert.False(space.IsBusMaster);
        Assert.Equal(0x0B, Read(space, 0x44, 1)[0]);
        Write(space, 0x44, 0);
        Assert.True(space.IsBusMaster);
        Assert.Equal(3, _changes);
    }

    [Fact]
    public void Only_writable_bits_of_the_command_register_change()
    {
        var space = Create();
        Write(space, 4, 0xFF, 0xFF, 0xFF, 0xFF);
        Assert.Equal(0x00100546u, Read32(space, 4));
    }

    [Fact]
    public void Function_level_reset_is_offered_and_restores_initial_values()
    {
        var space = Create();
        Assert.NotEqual(0u, Read32(space, 0x64) & (1u << 28));
        Write(space, 4, 6, 0);
        Write(space, 0x68, 0, 0x80);
        Assert.Equal(1, _resets);
        Assert.False(space.IsBusMaster);
        Assert.Equal(0x2810, BitConverter.ToUInt16(Read(space, 0x68, 2)));
    }

    [Fact]
    public void Byte_write_to_the_lower_half_of_device_control_resets_nothing()
    {
        var space = Create();
        Write(space, 0x68, 0x80);
        Assert.Equal(0, _resets);
    }

    void IFunctionEvents.ConfigurationChanged() => _changes++;

    void IFunctionEvents.FunctionReset() => _resets++;

    private static List<(int, int)> CapabilitiesOf(ConfigurationSpace space)
    {
        var found = new List<(int, int)>();
        for (int at = Read(space, 0x34, 1)[0]; at != 0; at = Read(space, at + 1, 1)[0])
        {
            found.Add((at, Read(space, at, 1)[0]));
        }

        return found;
    }

    private ConfigurationSpace Create(int vectors = 17) => new(new ConfigurationOptions(0x4000, vectors, 0x2000, 0x3000, true), this);

    private static byte[] Read(ConfigurationSpace space, int at, int count)
    {
        byte[] bytes = new byte[count];
        space.Read(at, bytes, interrupts: false);
        return bytes;
    }

    private static uint Read32(ConfigurationSpace space, int at) => BitConverter.ToUInt32(Read(space, at, 4));

    private static void Write(ConfigurationSpace space, int at, params byte[] bytes) => space.Write(at, bytes);

    private static void Write32(ConfigurationSpace space, int at, uint value) => space.Write(at, BitConverter.GetBytes(value));
}
