namespace Paddock.VfioUser.Pci;

/// <summary>What a write to configuration space causes in the function.</summary>
internal interface IFunctionEvents
{
    /// <summary>Bus mastering, the power state or MSI-X may have changed.</summary>
    void ConfigurationChanged();

    /// <summary>A function-level reset was requested.</summary>
    void FunctionReset();
}
