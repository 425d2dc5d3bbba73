"""One keep-alive HTTP connection to a door of garner."""
import http.client
import json
import socket


class Answer:
    """What came back: `status`, `headers` (lower-case names), `body` (bytes)."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:200]!r}>"


class Client:
    """Talks over one connection and opens it again when the server closed it.

    A request is sent once: where no answer came, the caller sees the OSError or HTTPException
    and decides whether to send again.
    """

    def __init__(self, port, host="127.0.0.1", timeout=30):
        self.connection = http.client.HTTPConnection(host, port, timeout=timeout)

    def request(self, method, path, body=None, headers=None):
        if self.connection.sock is None:
            self.connection.connect()
            self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.connection.request(method, path, body, headers or {})
            return Answer(self.connection.getresponse())
        except Exception:
            self.connection.close()
            raise

    def get(self, path):
        return self.request("GET", path)

    def post(self, topic, body, content_type, headers=None):
        return self.request("POST", f"/v1/topics/{topic}/records", body,
                            {"Content-Type": content_type, **(headers or {})})

    def post_json(self, topic, value):
        """One record, or a batch where `value` is a list."""
        return self.post(topic, json.dumps(value).encode(), "application/json")

    def post_ndjson(self, topic, records, headers=None):
        """A line a record; a record that is bytes already goes as it is."""
        lines = (r if isinstance(r, bytes) else json.dumps(r).encode() for r in records)
        return self.post(topic, b"".join(line + b"\n" for line in lines), "application/x-ndjson",
                         headers)

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
