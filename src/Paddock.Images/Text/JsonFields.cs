namespace Paddock.Images.Text;

/// <summary>
/// A JSON object whose fields keep the order in which they were added. Values are null, bool, long, double, string,
/// <see cref="JsonFields"/>, <see cref="QDict"/> and <see cref="List{T}"/> of these.
/// </summary>
internal sealed class JsonFields : List<KeyValuePair<string, object?>>
{
    /// <summary>Adds a field.</summary>
    public void Add(string key, object? value) => Add(KeyValuePair.Create(key, value));

    /// <summary>Adds a field and returns the object, for building one in an expression.</summary>
    public JsonFields With(string key, object? value)
    {
        Add(key, value);
        return this;
    }

    /// <summary>Adds the fields of another object.</summary>
    public JsonFields WithAll(JsonFields others)
    {
        AddRange(others);
        return this;
    }

    /// <summary>Adds the field if the condition holds.</summary>
    public JsonFields WithIf(bool condition, string key, object? value) => condition ? With(key, value) : this;
}
