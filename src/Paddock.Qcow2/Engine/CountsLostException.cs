using Paddock.Block;

namespace Paddock.Qcow2.Engine;

/// <summary>Reference counts could not be written, as not all tables are known that no write may damage: clusters may leak.</summary>
internal sealed class CountsLostException(BlockException cause) : BlockException(cause.Error, cause.Message, cause);
