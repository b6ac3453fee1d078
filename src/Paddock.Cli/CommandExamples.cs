namespace Paddock.Cli;

/// <summary>The examples in the help of each command.</summary>
internal static class CommandExamples
{
    private static readonly Dictionary<string, string[]> General = new()
    {
        [""] =
        [
            "paddock demo",
            "paddock create disk.qcow2 1T --zone-size 256M --max-open 14 --max-active 14",
            "paddock append disk.qcow2 0 < data",
            "paddock zones disk.qcow2",
        ],
        ["demo"] = ["paddock demo"],
        ["help"] = ["paddock help create", "paddock help zone reset", "paddock help img convert"],
        ["version"] = ["paddock version", "paddock version --json"],
        ["completion"] = ["paddock completion bash > ~/.local/share/bash-completion/completions/paddock"],
        ["img"] = ["paddock img create -f qcow2 disk.qcow2 1G", "paddock img convert -O qcow2 disk.raw disk.qcow2", "paddock img --help"],
        ["nbd"] = ["paddock nbd -k /run/disk.sock -t -e 4 disk.qcow2", "paddock nbd -b 127.0.0.1 -p 10809 -r disk.qcow2",
        "paddock nbd -L -b 127.0.0.1"],
        ["io"] = ["paddock io -c 'write -P 7 0 64k' -c 'zrp 0 4' disk.qcow2", "paddock io -c help"],
    };

    private static readonly Dictionary<string, string[]> Images = new()
    {
        ["create"] =
        [
            "paddock create disk.qcow2 16G --zone-size 64M",
            "paddock create smr.qcow2 4T --zone-size 256M --conventional 16 --max-open 128",
            "paddock create zns.qcow2 1T --zone-size 2G --zone-capacity 1077M --max-active 14 --layout a",
            "paddock create plain.qcow2 20G",
        ],
        ["clone"] = ["paddock clone base.qcow2 run1.qcow2", "paddock clone base.qcow2 run{1..50}.qcow2 --json"],
        ["info"] = ["paddock info disk.qcow2", "paddock info disk.qcow2 --json"],
        ["zones"] =
        [
            "paddock zones disk.qcow2",
            "paddock zones disk.qcow2 --table --range 0-63",
            "paddock zones disk.qcow2 --json --state open,closed",
            "paddock zones disk.qcow2 --watch",
            "paddock zones --watch --control /run/p.sock",
        ],
        ["zone"] = ["paddock zone reset disk.qcow2 0,3-5", "paddock zone finish disk.qcow2 all"],
        ["zone open"] = ["paddock zone open disk.qcow2 0"],
        ["zone close"] = ["paddock zone close disk.qcow2 0-3"],
        ["zone finish"] = ["paddock zone finish disk.qcow2 7"],
        ["zone readonly"] = ["paddock zone readonly disk.qcow2 5"],
        ["zone offline"] = ["paddock zone offline disk.qcow2 5,8-9"],
        ["zone restore"] = ["paddock zone restore disk.qcow2 all"],
        ["zone reset"] = ["paddock zone reset disk.qcow2 all", "paddock zone reset disk.qcow2 0,3-5"],
        ["append"] = ["paddock append disk.qcow2 3 < data", "tar c folder | paddock append disk.qcow2 3 --pad"],
        ["read"] =
        [
            "paddock read disk.qcow2 3 > zone3.bin", "paddock read disk.qcow2 3 --offset 64k --length 4k > part.bin",
            "paddock read nvme+tcp://127.0.0.1:4420/nqn.2026-01.io.paddock:disk 3 > zone3.bin",
        ],
        ["check"] = ["paddock check disk.qcow2", "paddock check disk.qcow2 --repair leaks"],
        ["backup"] =
        [
            "paddock backup disk.qcow2 full.qcow2 --full --since daily",
            "paddock backup disk.qcow2 monday.qcow2 --since daily",
            "paddock backup --control /run/p.sock disk /backups/tuesday.qcow2 --since daily",
            "paddock backup restore disk.qcow2 full.qcow2 monday.qcow2 tuesday.qcow2",
        ],
        ["backup restore"] = ["paddock backup restore disk.qcow2 full.qcow2 monday.qcow2 tuesday.qcow2"],
        ["snapshot"] =
        [
            "paddock snapshot create disk.qcow2 before-update",
            "paddock snapshot list disk.qcow2 --json",
            "paddock snapshot apply disk.qcow2 before-update",
            "paddock snapshot create --control /run/p.sock zns nightly",
        ],
    };

    private static readonly Dictionary<string, string[]> Servers = new()
    {
        ["serve"] =
        [
            "paddock serve disk.qcow2 --nvme 127.0.0.1:4420",
            "paddock serve zns.qcow2 plain.raw --nvme 127.0.0.1:4420 --nbd 127.0.0.1:10809",
            "paddock serve disk.qcow2 --nbd unix:/run/nbd.sock --metrics 127.0.0.1:9100 --control /run/p.sock",
            "paddock serve disk.qcow2 --nvme 127.0.0.1:4420 --web 127.0.0.1:8080",
            "paddock serve disk.qcow2 --vhost-user /run/disk.sock",
            "paddock serve disk.qcow2 --vfio-user /run/nvme0.sock",
            "paddock serve disk.qcow2 --nvme 0.0.0.0:4420 --dhchap-keys /etc/paddock/keys",
            "paddock serve rbd:pool/drive --nvme 0.0.0.0:4420 --standby --node 2 --control /run/p.sock",
        ],
        ["discover"] =
        [
            "paddock discover 127.0.0.1:4420", "paddock discover storage.example", "paddock discover unix:/run/nbd.sock --json",
        ],
        ["run"] =
        [
            "paddock run disk.qcow2 --nbd -- nbdinfo '$PADDOCK_URI'",
            "paddock run --temporary 16G --zone-size 64M --nvme -- paddock zones '$PADDOCK_URI'",
            "paddock run --temporary 1G --nbd -- 'nbdcopy README.md \"$PADDOCK_URI\" && nbddump \"$PADDOCK_URI\"'",
            "paddock run a.qcow2 b.qcow2 --nbd --nvme --read-only -- sh -c 'echo \"$PADDOCK_URIS\"'",
        ],
        ["farm"] =
        [
            "paddock farm golden.qcow2 --count 100 --nvme 0.0.0.0:4420",
            "paddock farm --temporary 16G --zone-size 64M --count 8 --json",
            "paddock farm golden.qcow2 --count 4 -- 'paddock zones \"$PADDOCK_URI\"; cat \"$PADDOCK_LIST\"'",
            "paddock farm golden.qcow2 --count 4 --dir overlays --keep",
            "paddock farm rbd:pool/golden --count 400 --clone --plan lab1,lab2,lab3:4500",
        ],
        ["fault"] =
        [
            "paddock fault /run/p.sock fail command=write nth=3 error=ENOSPC",
            "paddock fault /run/p.sock fail command=append zone=4-7 every=100 count=0 status=281",
            "paddock fault /run/p.sock delay ms=500 probability=0.01 seed=7 count=0",
            "paddock fault /run/p.sock hang command=flush && paddock fault /run/p.sock release",
            "paddock fault /run/p.sock offline ns=1 zone=3",
            "paddock fault /run/p.sock powercut keep=50 seed=1 hold=5",
            "paddock fault /run/p.sock status --json",
        ],
        ["resize"] =
        [
            "paddock resize --control /run/p.sock +16G",
            "paddock resize --control /run/p.sock base 64G --preallocation falloc",
            "paddock resize --control /run/p.sock zns -256M --shrink",
        ],
        ["handover"] = ["paddock handover --control /run/p.sock", "paddock handover --control /run/p.sock zns --json"],
        ["gen-dhchap-key"] = ["paddock gen-dhchap-key", "paddock gen-dhchap-key --hmac 1 --nqn nqn.2014-08.org.example:host"],
        ["bench"] =
        [
            "paddock bench disk.qcow2 --rw append --depth 1",
            "paddock bench nvme+tcp://127.0.0.1:4420/nqn.2026-01.io.paddock:disk --rw write --bs 128k",
            "paddock bench nbd://127.0.0.1 --rate 20000 --time 2m --json",
        ],
    };

    /// <summary>Examples of a command, one per line.</summary>
    /// <param name="path">Its name without <c>paddock</c>, such as <c>zone reset</c>; empty for the root.</param>
    public static string[] Of(string path)
        => General.GetValueOrDefault(path) ?? Images.GetValueOrDefault(path) ?? Servers.GetValueOrDefault(path) ?? [];
}
