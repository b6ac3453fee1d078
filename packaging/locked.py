#!/usr/bin/env python3
"""Fails if one lock file of NuGet has a package, version or hash that the other does not have: locked.py NEW COMMITTED"""
import json, sys


def packages(path):
    targets = json.load(open(path))['dependencies'].values()
    return {(name, entry['resolved'], entry['contentHash']) for target in targets for name, entry in target.items() if 'resolved' in entry}


unknown = packages(sys.argv[1]) - packages(sys.argv[2])
if unknown:
    sys.exit(f'packaging: not in {sys.argv[2]}: {sorted(unknown)}')
