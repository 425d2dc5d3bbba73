"""Topics over the Kafka protocol with nothing between: one socket, no retries, so that what was
answered is known and what was not is not."""
import socket
import struct


def text(value):
    data = value.encode()
    return struct.pack(">h", len(data)) + data


class Topics:
    """One connection. Any failure of it is an OSError."""

    def __init__(self, port, timeout=30):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.sent = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, key, version, body):
        self.sent += 1
        data = struct.pack(">hhi", key, version, self.sent) + text("tests") + body
        self.socket.sendall(struct.pack(">i", len(data)) + data)
        size, correlation = struct.unpack(">ii", self.receive(8))
        assert correlation == self.sent
        return self.receive(size - 4)

    def receive(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise ConnectionError("closed")
            data += more
        return data

    def create(self, name, partitions, **configs):
        """CreateTopics 2; its error code."""
        body = struct.pack(">i", 1) + text(name) + struct.pack(">ihi", partitions, 1, 0)
        body += struct.pack(">i", len(configs))
        for key, value in configs.items():
            body += text(key.replace("_", ".")) + text(str(value))
        answer = self.ask(19, 2, body + struct.pack(">i?", 1000, False))
        return struct.unpack_from(">h", answer, 8 + 2 + len(name.encode()))[0]

    def delete(self, name):
        """DeleteTopics 1; its error code."""
        answer = self.ask(20, 1, struct.pack(">i", 1) + text(name) + struct.pack(">i", 1000))
        return struct.unpack_from(">h", answer, 8 + 2 + len(name.encode()))[0]
