namespace Paddock.VfioUser.Tests;

/// <summary>Tests that count the descriptors of this process: no other test runs meanwhile.</summary>
[CollectionDefinition(nameof(DescriptorCollection), DisableParallelization = true)]
public class DescriptorCollection;
