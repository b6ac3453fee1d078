using Paddock.Sim;

try
{
    var options = SimOptions.Parse(args);
    return new Driver(options).Run();
}
catch (FormatException e)
{
    Console.Error.WriteLine(e.Message);
    Console.Error.WriteLine(SimOptions.Usage);
    return 2;
}
