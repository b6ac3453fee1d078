using Paddock.Images;
using Paddock.Images.Nodes;

namespace Paddock.Compat.Tests;

/// <summary>Access rules of the NBD server (<c>--tls-authz</c>).</summary>
public sealed class NbdAccessTests
{
    [Theory]
    [InlineData("authz-simple,id=a,identity=CN=x,,O=y", "CN=x,O=y", true)]
    [InlineData("authz-simple,id=a,identity=CN=x,,O=y", "CN=x", false)]
    [InlineData("authz-list,id=a,policy=allow,rules.0.match=CN=x,rules.0.policy=deny", "CN=x", false)]
    [InlineData("authz-list,id=a,policy=allow,rules.0.match=CN=x,rules.0.policy=deny", "CN=y", true)]
    [InlineData("authz-list,id=a,rules.0.match=CN=*,rules.0.policy=allow,rules.0.format=glob", "CN=y", true)]
    [InlineData("authz-list,id=a,rules.0.match=CN=*,rules.0.policy=allow", "CN=y", false)]
    [InlineData("authz-list,id=a,rules.0.match=x,rules.0.policy=deny,rules.1.match=*,rules.1.policy=allow,rules.1.format=glob", "x", false)]
    public void First_matching_rule_decides(string text, string name, bool isAllowed)
        => Assert.Equal(isAllowed, AuthzObjects.Load([text], "a")(name));

    [Fact]
    public void Changed_file_of_rules_applies_and_an_unreadable_one_admits_nobody()
    {
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, """{"policy": "deny", "rules": [{"match": "CN=x", "policy": "allow", "format": "exact"}]}""");
            var allows = AuthzObjects.Load([$"authz-list-file,id=a,filename={file}"], "a");
            var fixedRules = AuthzObjects.Load([$"authz-list-file,id=a,filename={file},refresh=off"], "a");
            Assert.True(allows("CN=x"));
            File.WriteAllText(file, """{"policy": "allow"}""");
            File.SetLastWriteTimeUtc(file, new DateTime(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc));
            Assert.True(allows("CN=y"));
            Assert.False(fixedRules("CN=y"));
            File.WriteAllText(file, "{");
            File.SetLastWriteTimeUtc(file, new DateTime(2020, 1, 2, 0, 0, 0, DateTimeKind.Utc));
            Assert.False(allows("CN=y"));
            Assert.False(allows("CN=y"));
            File.Delete(file);
            Assert.False(allows("CN=y"));
            Assert.False(allows("CN=y"));
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Theory]
    [InlineData("authz-simple,id=b", "No authorization object with id 'a': add --object authz-simple,id=a,identity=NAME")]
    [InlineData("authz-simple,id=a", "Parameter 'identity' is missing")]
    [InlineData("authz-list,id=a,rules.0.match=x", "Parameter 'rules[0].policy' is missing")]
    [InlineData("authz-list,id=a,policy=maybe", "Parameter 'policy' does not accept value 'maybe'")]
    [InlineData("authz-list,id=a,policy=allow,rules.1.match=x,rules.1.policy=deny", "Parameter 'rules.1.policy' is unexpected")]
    [InlineData("authz-list,id=a,rules.0.match=x,rules.0.policy=deny,rules.0.form=glob", "Parameter 'rules[0].form' is unexpected")]
    [InlineData("{'qom-type':'authz-list','id':'a','policy':'allow','rule':[{'match':'x'}]}", "Parameter 'rule' is unexpected")]
    [InlineData("authz-list-file,id=a,filename=/nothing/here", "Unable to read '/nothing/here': No such file or directory")]
    [InlineData("secret,id=a", "Object with id 'a' has type 'secret': expected authz-simple, authz-list or authz-list-file")]
    public void Invalid_rules_are_rejected(string text, string message)
        => Assert.Equal(message, Assert.Throws<ToolException>(() => AuthzObjects.Load([text], "a")).Message);
}
