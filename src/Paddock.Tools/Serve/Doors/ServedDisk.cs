namespace Paddock.Tools.Serve.Doors;

/// <summary>An opened image as the doors see it.</summary>
/// <param name="Settings">What was asked for.</param>
/// <param name="Node">The image; the server owns it, not the door.</param>
/// <param name="Name">What it is called: its NBD export, and its namespaces.</param>
internal sealed record ServedDisk(ServedImage Settings, ImageNode Node, string Name);
