#!/usr/bin/env python3
"""Compares a bill of materials with the lock file of the native build: sbom.py BOM ROOT VERSION"""
import json, sys

bom, root, version = json.load(open(sys.argv[1])), sys.argv[2], sys.argv[3]
assert bom['bomFormat'] == 'CycloneDX' and bom['metadata']['component']['version'] == version, bom['metadata']
parts = {c['name'].lower(): c for c in bom['components']}
lock = json.load(open(root + '/src/Paddock.Cli/packages.native.lock.json'))
for target in lock['dependencies'].values():
    for name, entry in target.items():
        if name.lower().startswith(('microsoft.codeanalysis', 'microsoft.net.illink', 'minver')) or name.endswith('ILCompiler'):
            assert name.lower() not in parts, name
            continue
        assert name.lower() in parts, name
        if entry['type'] != 'Project':
            assert parts[name.lower()]['version'] == entry['resolved'] and parts[name.lower()]['hashes'], name
            assert parts[name.lower()]['licenses'], name
assert any(name.startswith('microsoft.netcore.app.runtime.nativeaot.') for name in parts)
refs = {c['bom-ref'] for c in bom['components']} | {bom['metadata']['component']['bom-ref']}
assert {e['ref'] for e in bom['dependencies']} == refs
assert all(d in refs for e in bom['dependencies'] for d in e['dependsOn'])
