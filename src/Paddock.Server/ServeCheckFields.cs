using Paddock.Images.Text;

namespace Paddock.Server;

/// <summary>What `paddock serve --check-config` would serve, for programs.</summary>
public static class ServeCheckFields
{
    /// <summary>The settings as one line of JSON.</summary>
    public static string Of(ServeSettings settings) => JsonText.Readable(new JsonFields
    {
        {
            "images", settings.Images.Select(i => (object?)new JsonFields
            {
                { "path", i.Path }, { "format", i.Format }, { "read_only", i.ReadOnly },
                { "write_through", i.WriteThrough || settings.WriteThrough },
                { "export", i.Export ?? PaddockServer.StemOf(i.Path) }, { "nqn", i.Nqn },
            }).ToList()
        },
        {
            "listeners", new JsonFields
            {
                { "nvme", settings.Nvme }, { "nbd", settings.Nbd }, { "vhost_user", settings.VhostUser },
                { "vfio_user", settings.VfioUser.Select(static s => (object?)s).ToList() },
                { "metrics", settings.Metrics }, { "web", settings.Web }, { "control", settings.Control },
            }
        },
        {
            "nbd_tls", settings.NbdTlsCreds is null ? null
                : new JsonFields { { "mode", settings.NbdTls }, { "clients", settings.NbdTlsClients } }
        },
        {
            "namespaces", settings.NamespaceDir is null ? null
                : new JsonFields { { "directory", settings.NamespaceDir }, { "quota", settings.NamespaceQuota } }
        },
        { "standby", settings.Standby },
        { "node", settings.Node },
        { "nvme_format", settings.NvmeFormat },
        { "nvme_copy", settings.NvmeCopy },
        { "nvme_uncorrectable", settings.NvmeUncorrectable },
        { "web_control", settings.WebControl },
        { "trace_file", settings.TraceFile },
        { "allow_hosts", settings.AllowHosts.Select(static h => (object?)h).ToList() },
        { "backing", settings.Backing },
        {
            "limits", new JsonFields
            {
                { "max_connections", settings.MaxConnections }, { "max_memory", ServeCheck.MemoryOf(settings) },
                { "idle_timeout", settings.IdleTimeout ?? ServeSettings.DefaultIdleSeconds }, { "drain_timeout", settings.DrainTimeout },
            }
        },
    });
}
