#!/usr/bin/env python3
"""Serves one OCI image layout, read-only, as a registry on loopback: registry.py FOLDER. Prints its port.

The .NET SDK takes the base image of a container only from a registry.
"""
import http.server, json, os, re, sys

folder = sys.argv[1]
index = json.load(open(os.path.join(folder, 'index.json')))
base = index['manifests'][0]


class Registry(http.server.BaseHTTPRequestHandler):
    def answer(self, body):
        if re.fullmatch(r'/v2/?', self.path):
            return self.send(b'{}', 'application/json', body)
        found = re.fullmatch(r'/v2/[a-z/-]+/(manifests|blobs)/([A-Za-z0-9:._-]+)', self.path)
        if not found:
            return self.send_error(404)
        digest = found[2] if found[2].startswith('sha256:') else base['digest']
        path = os.path.join(folder, 'blobs', 'sha256', digest[len('sha256:'):])
        if not re.fullmatch('sha256:[0-9a-f]{64}', digest) or not os.path.exists(path):
            return self.send_error(404)
        kind = base['mediaType'] if found[1] == 'manifests' else 'application/octet-stream'
        with open(path, 'rb') as file:
            self.send(file.read(), kind, body, digest)

    def send(self, data, kind, body, digest=None):
        self.send_response(200)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(data)))
        self.send_header('Docker-Distribution-Api-Version', 'registry/2.0')
        if digest:
            self.send_header('Docker-Content-Digest', digest)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def do_GET(self):
        self.answer(True)

    def do_HEAD(self):
        self.answer(False)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Registry)
print(server.server_address[1], flush=True)
server.serve_forever()
