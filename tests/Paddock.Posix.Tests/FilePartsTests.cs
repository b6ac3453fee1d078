using Paddock.Block;

namespace Paddock.Posix.Tests;

/// <summary>Unit tests of the parts of a file storage: identity, opening, length, holes, space, direct I/O.</summary>
public sealed class FilePartsTests : IDisposable
{
    private const int Block = DirectFile.BlockSize;

    private readonly string _folder = Directory.CreateTempSubdirectory("paddock-parts").FullName;

    private string Path => System.IO.Path.Combine(_folder, "a");

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Same_file_is_recognized_by_two_names_and_missing_files_are_never_the_same()
    {
        File.WriteAllText(Path, "");
        File.WriteAllText(Path + "2", "");
        File.CreateSymbolicLink(Path + "-link", Path);
        Assert.True(FileIdentity.IsSameFile(Path, System.IO.Path.Combine(_folder, ".", "a")));
        Assert.True(FileIdentity.IsSameFile(Path, Path + "-link"));
        Assert.False(FileIdentity.IsSameFile(Path, Path + "2"));
        Assert.False(FileIdentity.IsSameFile(Path + "-none", Path + "-none"));
    }

    [Fact]
    public void Dangling_link_occupies_its_name()
    {
        File.CreateSymbolicLink(Path, Path + "-none");
        Assert.True(FileIdentity.IsTaken(Path));
        Assert.False(FileIdentity.IsTaken(Path + "-none"));
    }

    [Fact]
    public void File_identity_of_a_link_has_the_real_path()
    {
        File.WriteAllText(Path, "");
        File.CreateSymbolicLink(Path + "-link", Path);
        using var file = FileOpener.Open(new() { Path = Path + "-link" });
        var facts = FileIdentity.Of(file.Handle, file.Name);
        Assert.Equal((Path, true), (facts.RealPath, facts.IsStored));
        Assert.Equal(_folder, facts.Directory);
    }

    [Fact]
    public void File_that_is_not_admitted_is_not_truncated()
    {
        File.WriteAllText(Path, "kept");
        Assert.Throws<InvalidDataException>(
            () => FileOpener.Open(new() { Path = Path, Truncate = true, Admit = _ => throw new InvalidDataException() }));
        Assert.Equal("kept", File.ReadAllText(Path));
    }

    [Fact]
    public void Locked_file_is_not_truncated()
    {
        File.WriteAllText(Path, "kept");
        using var first = FileOpener.Open(new() { Path = Path, Lock = ImageLock.Write });
        Assert.Throws<ImageLockedException>(() => FileOpener.Open(new() { Path = Path, Truncate = true, Lock = ImageLock.Write }));
        Assert.Equal("kept", File.ReadAllText(Path));
    }

    [Fact]
    public void Length_follows_writes_and_padding_does_not_count()
    {
        using var file = Open();
        file.Write(10, new byte[10]);
        Assert.Equal(20, file.Length);
        file.WriteKeepingLength(20, new byte[100]);
        Assert.Equal(20, file.Length);
        file.Grew(15);
        Assert.Equal(20, file.Length);
        file.Resized(7);
        Assert.Equal(7, file.Length);
    }

    [Fact]
    public void Unlocked_reader_sees_the_file_grow_and_locked_one_keeps_its_length()
    {
        File.WriteAllText(Path, "12345");
        using var unlocked = FileOpener.Open(new() { Path = Path, ReadOnly = true });
        using var locked = FileOpener.Open(new() { Path = Path, ReadOnly = true, Lock = ImageLock.ReadShared });
        File.AppendAllText(Path, "678");
        Assert.Equal((8, 5), (unlocked.Length, locked.Length));
    }

    [Fact]
    public void Holes_and_data_alternate_and_the_end_reads_as_zero()
    {
        using var file = Open();
        file.Write(0, Filled(64 << 10));
        file.Write(1 << 20, Filled(64 << 10));
        var holes = new FileHoles(file);
        Assert.Equal((64 << 10, BlockStatusFlags.Data), Run(holes.Find(0, 4 << 20)));
        Assert.Equal(((1 << 20) - (64 << 10), BlockStatusFlags.Zero), Run(holes.Find(64 << 10, 4 << 20)));
        Assert.Equal((100, BlockStatusFlags.Zero), Run(holes.Find(100 << 10, 100)));
        Assert.Equal((64 << 10, BlockStatusFlags.Data), Run(holes.Find(1 << 20, 4 << 20)));
        Assert.Equal((500, BlockStatusFlags.Zero), Run(holes.Find(4 << 20, 500)));
    }

    [Fact]
    public void Discardable_part_is_whole_units_before_the_end()
    {
        using var file = Open();
        file.Write(0, Filled(10 * Block));
        var space = new FileSpace(file, direct: null, Block);
        Assert.Equal((true, Block, 2L * Block), Discardable(space, 100, 3 * Block));
        Assert.False(Discardable(space, 100, Block).Found);
        Assert.False(Discardable(space, 10 * Block, Block).Found);
    }

    [Fact]
    public void Discard_frees_space_and_keeps_the_length()
    {
        using var file = Open();
        file.Write(0, Filled(1 << 20));
        file.Sync();
        long before = file.AllocatedBytes;
        new FileSpace(file, direct: null, 1).Discard(0, 512 << 10);
        Assert.True(file.AllocatedBytes <= before - (512 << 10));
        Assert.Equal(1 << 20, new FileInfo(Path).Length);
    }

    [Fact]
    public void Reserved_space_grows_the_file_only_if_asked()
    {
        using var file = Open();
        var space = new FileSpace(file, direct: null, 1);
        space.Reserve(0, 1 << 20, grows: false);
        Assert.Equal((0, 0), (file.Length, new FileInfo(Path).Length));
        space.Reserve(0, 1 << 20, grows: true);
        Assert.Equal((1 << 20, 1 << 20), (file.Length, new FileInfo(Path).Length));
        Assert.True(space.CanReserve);
        Assert.True(file.AllocatedBytes >= 1 << 20);
    }

    [Theory]
    [InlineData(Preallocation.Off, false)]
    [InlineData(Preallocation.Falloc, true)]
    [InlineData(Preallocation.Full, true)]
    public void New_length_allocates_space_according_to_preallocation(Preallocation preallocation, bool takes)
    {
        using var file = Open();
        var space = new FileSpace(file, direct: null, 1);
        space.SetLength(1 << 20, preallocation, Token);
        file.Sync();
        Assert.Equal((1 << 20, 1 << 20), (file.Length, new FileInfo(Path).Length));
        Assert.Equal(takes, file.AllocatedBytes >= 1 << 20);
    }

    [Fact]
    public async Task Direct_write_keeps_the_other_bytes_of_its_edge_blocks()
    {
        using var file = Open(direct: true);
        var direct = new DirectFile(file);
        await direct.WriteAsync(0, Filled(3 * Block));
        var data = new byte[Block];
        await direct.WriteAsync(Block / 2, data);
        var read = new byte[3 * Block];
        await direct.ReadAsync(0, read);
        Assert.Equal(-1, read.AsSpan(0, Block / 2).IndexOfAnyExcept((byte)7));
        Assert.Equal(-1, read.AsSpan(Block / 2, Block).IndexOfAnyExcept((byte)0));
        Assert.Equal(-1, read.AsSpan(Block / 2 * 3).IndexOfAnyExcept((byte)7));
    }

    [Fact]
    public async Task Direct_write_past_the_end_leaves_the_exact_length()
    {
        using var file = Open(direct: true);
        var direct = new DirectFile(file);
        await direct.WriteAsync(5, Filled(100));
        Assert.Equal((105, 105), (file.Length, new FileInfo(Path).Length));
        await direct.WriteAsync(0, Filled(Block));
        Assert.Equal((Block, Block), (file.Length, new FileInfo(Path).Length));
    }

    [Fact]
    public async Task Direct_write_waits_for_exclusive_work()
    {
        using var file = Open(direct: true);
        var direct = new DirectFile(file);
        using var release = new ManualResetEventSlim();
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var alone = direct.RunAloneAsync(0, () =>
        {
            started.SetResult();
            release.Wait(Token);
        });
        await started.Task;
        var write = direct.WriteAsync(0, Filled(Block)).AsTask();
        Assert.False(write.IsCompleted);
        release.Set();
        await alone;
        await write;
        Assert.Equal(Block, file.Length);
    }

    private static byte[] Filled(int length)
    {
        var data = new byte[length];
        data.AsSpan().Fill(7);
        return data;
    }

    private static (long Length, BlockStatusFlags Flags) Run(BlockStatus status) => (status.Length, status.Flags);

    private static (bool Found, long Offset, long Length) Discardable(FileSpace space, long offset, long length)
        => (space.TryFindDiscardable(ref offset, ref length), offset, length);

    private OpenedFile Open(bool direct = false)
    {
        try
        {
            return FileOpener.Open(new() { Path = Path, Create = true, DirectIo = direct });
        }
        catch (BlockException e) when (e.Errno == 22)
        {
            Assert.Skip("the file system has no direct I/O");
            throw;
        }
    }
}
