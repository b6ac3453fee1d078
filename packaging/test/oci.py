#!/usr/bin/env python3
"""Unpacks an OCI archive: oci.py ARCHIVE FOLDER. Checks digests, applies the layers to FOLDER/root, and prints user, folder and entry point."""
import hashlib, json, os, subprocess, sys, tarfile

archive, folder = sys.argv[1:]
tarfile.open(archive).extractall(folder, filter='data')


def blob(descriptor):
    algorithm, digest = descriptor['digest'].split(':')
    path = os.path.join(folder, 'blobs', algorithm, digest)
    data = open(path, 'rb').read()
    assert hashlib.sha256(data).hexdigest() == digest and len(data) == descriptor['size'], descriptor
    return path, data


assert json.load(open(os.path.join(folder, 'oci-layout')))['imageLayoutVersion'] == '1.0.0'
index = json.load(open(os.path.join(folder, 'index.json')))
manifest = json.loads(blob(index['manifests'][0])[1])
config = json.loads(blob(manifest['config'])[1])
os.mkdir(os.path.join(folder, 'root'))
for layer in manifest['layers']:
    subprocess.run(['tar', '-xf', blob(layer)[0], '-C', os.path.join(folder, 'root')], check=True)
settings = config['config']
print(settings.get('User', 'root'), settings.get('WorkingDir', '/'), *settings.get('Entrypoint', []) or settings['Cmd'])
