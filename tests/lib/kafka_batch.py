"""A Kafka producer of a test's own: it builds its batches once and can send the same bytes again,
which no client library lets a test do."""
import socket
import struct

PRODUCE, INIT_PRODUCER_ID = 0, 22


def crc32c(data, table=[]):
    if not table:
        for n in range(256):
            for _ in range(8):
                n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
            table.append(n)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def varint(number):
    number = number << 1 ^ number >> 63
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def batch(values, producer_id=-1, epoch=-1, sequence=-1, attributes=0, count=None):
    """One record batch (magic 2), not compressed. `count`: what the header says instead."""
    records = b""
    for delta, value in enumerate(values):
        body = b"\0" + varint(0) + varint(delta) + varint(-1) + varint(len(value)) + value + b"\0"
        records += varint(len(body)) + body
    count = len(values) if count is None else count
    tail = struct.pack(">hiqqqhii", attributes, count - 1, 1700000000000, 1700000000000,
                       producer_id, epoch, sequence, count) + records
    head = struct.pack(">ibI", 0, 2, crc32c(tail))
    return struct.pack(">qi", 0, len(head) + len(tail)) + head + tail


class Connection:
    """One connection; a call that the server's end cuts off raises OSError."""

    def __init__(self, port, timeout=30):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.stream = self.socket.makefile("rb")
        self.asked = 0

    def close(self):
        self.stream.close()
        self.socket.close()

    def send(self, key, version, body):
        self.asked += 1
        message = struct.pack(">hhih", key, version, self.asked, 4) + b"test" + body
        self.socket.sendall(struct.pack(">i", len(message)) + message)

    def receive(self):
        head = self.stream.read(4)
        if len(head) < 4:
            raise ConnectionResetError("no answer")
        body = self.stream.read(struct.unpack(">i", head)[0])
        return body[4:]

    def init_producer_id(self, transactional_id=None, timeout_ms=60000):
        """(error, producer id, epoch)"""
        name = struct.pack(">h", -1) if transactional_id is None else \
            struct.pack(">h", len(transactional_id)) + transactional_id
        self.send(INIT_PRODUCER_ID, 1, name + struct.pack(">i", timeout_ms))
        return struct.unpack(">4xhqh", self.receive())

    def send_batch(self, topic, partition, data):
        self.send(PRODUCE, 3, struct.pack(">hhiih", -1, -1, 30000, 1, len(topic)) + topic.encode() +
                  struct.pack(">iii", 1, partition, len(data)) + data)

    def receive_batch(self):
        """(error, base offset) of the oldest batch without an answer."""
        body = self.receive()
        name, = struct.unpack_from(">h", body, 4)
        return struct.unpack_from(">hq", body, 4 + 2 + name + 4 + 4)

    def produce(self, topic, partition, data):
        self.send_batch(topic, partition, data)
        return self.receive_batch()
