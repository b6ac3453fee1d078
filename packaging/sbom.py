#!/usr/bin/env python3
"""Prints a CycloneDX 1.6 bill of materials of the native executable: sbom.py ROOT VERSION RID EPOCH

Its components are those of the lock file of the native build, with their SHA-512; licences are read from the packages as NuGet has unpacked them.
"""
import base64, datetime, json, os, re, sys, uuid
import xml.etree.ElementTree as ET

root, version, rid, epoch = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
# built with, but not into the executable
TOOLS = re.compile(r'Microsoft\.CodeAnalysis\.|Microsoft\.NET\.ILLink|MinVer|.*ILCompiler$')
packages = os.environ.get('NUGET_PACKAGES') or os.path.expanduser('~/.nuget/packages')
lock = json.load(open(os.path.join(root, 'src/Paddock.Cli/packages.native.lock.json')))
targets = lock['dependencies']


def manifest(name, number):
    path = os.path.join(packages, name.lower(), number, name.lower() + '.nuspec')
    if not os.path.exists(path):
        return {}
    metadata = next(iter(ET.parse(path).getroot()))
    return {element.tag.split('}')[1]: element for element in metadata}


def component(name, entry):
    number = entry['resolved']
    purl = f'pkg:nuget/{name}@{number}'
    found = manifest(name, number)
    item = {'type': 'library', 'bom-ref': purl, 'name': name, 'version': number, 'purl': purl}
    if 'authors' in found:
        item['authors'] = [{'name': found['authors'].text}]
    if 'license' in found and found['license'].get('type') == 'expression':
        item['licenses'] = [{'expression': found['license'].text}]
    if 'contentHash' in entry:
        item['hashes'] = [{'alg': 'SHA-512', 'content': base64.b64decode(entry['contentHash']).hex()}]
    return item


merged = {}
for target in ('net10.0', f'net10.0/{rid}'):
    merged.update(targets.get(target, {}))
locked = {name: entry for name, entry in sorted(merged.items()) if entry['type'] != 'Project' and not TOOLS.match(name)}
# the runtime's own libraries come with the compiler, in its version, and are in no lock file
runtime = f'Microsoft.NETCore.App.Runtime.NativeAOT.{rid}'
locked[runtime] = {'type': 'Direct', 'resolved': merged['Microsoft.DotNet.ILCompiler']['resolved']}
projects = {name: entry for name, entry in sorted(merged.items()) if entry['type'] == 'Project'}
ref = {name.lower(): f'pkg:nuget/{name}@{entry["resolved"]}' for name, entry in locked.items()}
ref.update({name.lower(): 'paddock:' + name for name in projects})
own = [{'type': 'library', 'bom-ref': 'paddock:' + name, 'name': name, 'version': version, 'licenses': [{'expression': 'Apache-2.0'}]}
       for name in projects]
main = f'pkg:generic/paddock@{version}'
direct = [ref[name.lower()] for name, entry in locked.items() if entry['type'] == 'Direct']
inner = {name for entry in projects.values() for name in map(str.lower, entry.get('dependencies', {}))}
direct += [ref[name.lower()] for name in projects if name.lower() not in inner]
edges = [{'ref': main, 'dependsOn': sorted(direct)}]
for name, entry in {**locked, **projects}.items():
    edges.append({'ref': ref[name.lower()],
                  'dependsOn': sorted(ref[d.lower()] for d in entry.get('dependencies', {}) if d.lower() in ref)})
print(json.dumps({
    'bomFormat': 'CycloneDX',
    'specVersion': '1.6',
    'serialNumber': 'urn:uuid:' + str(uuid.uuid5(uuid.NAMESPACE_URL, f'{main}?arch={rid}&time={epoch}')),
    'version': 1,
    'metadata': {
        'timestamp': datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ'),
        'component': {'type': 'application', 'bom-ref': main, 'name': 'paddock', 'version': version, 'purl': main,
                      'licenses': [{'expression': 'Apache-2.0'}]},
    },
    'components': [component(name, entry) for name, entry in locked.items()] + own,
    'dependencies': edges,
}, indent=2))
