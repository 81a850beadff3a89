"""HTTPS to one service with a pinned CA, as a stranger or with a client certificate. The standard library alone."""

import http.client
import json
import ssl
from urllib.parse import urlsplit


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


class Web:
    def __init__(self, url, ca, certificate=None, key=None):
        context = ssl.create_default_context(cafile=ca)
        if certificate:
            context.load_cert_chain(certificate, key)
        parts = urlsplit(url)
        self.connection = http.client.HTTPSConnection(parts.hostname, parts.port, context=context, timeout=60)

    def send(self, method, path, body=None, media_type=None):
        headers = {"Content-Type": media_type} if media_type else {}
        self.connection.request(method, path, body=body, headers=headers)
        response = self.connection.getresponse()
        return Reply(response.status, response.headers, response.read())

    def get(self, path, status=200):
        return self._want(self.send("GET", path), status, path)

    def post_json(self, path, value, status=200):
        return self._want(self.send("POST", path, json.dumps(value), "application/json"), status, path)

    def put(self, path, body, media_type, status=204):
        return self._want(self.send("PUT", path, body, media_type), status, path)

    def register(self, statement, status=201):
        """SCRAPI: `POST /entries`."""
        return self._want(self.send("POST", "/entries", statement, "application/cose"), status, "/entries")

    @staticmethod
    def _want(reply, status, path):
        assert reply.status == status, f"{path}: {reply.status}, want {status}: {reply.body!r}"
        return reply
