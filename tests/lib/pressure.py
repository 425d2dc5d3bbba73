"""More than a server has room for, over Kafka: batches that are made fast, and clients that send
them all at once until they are taken."""
import gzip
import socket
import struct
import subprocess
import threading

from lib.server import assert_balanced

MIB = 1 << 20
# How a broker says "later" (Kafka protocol guide, error codes): of the log, and of its memory.
LATER = {3, 6, 7, 19, 20, 56, 89}
TOO_LARGE = 10
POLYNOMIAL = 0x82F63B78


def table():
    rows = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (POLYNOMIAL if byte & 1 else 0)
        rows.append(byte)
    return rows


ROWS = table()


def crc32c(data, state=0xFFFFFFFF):
    """Without the last complement, so that it can be gone on with."""
    for byte in data:
        state = state >> 8 ^ ROWS[(state ^ byte) & 0xFF]
    return state


def varint(value):
    value = value << 1 ^ value >> 63
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def record(delta, key, value):
    body = (b"\0" + varint(0) + varint(delta) + varint(len(key)) + key + varint(len(value)) + value
            + varint(0))
    return varint(len(body)) + body


class Batches:
    """Batches of `count` records, all the same but for the last one's key, which is a number: so
    their checksum is that of what they share, gone on with."""

    def __init__(self, count, value_size):
        self.count = count
        self.shared = b"".join(record(n, b"", b"x" * value_size) for n in range(count - 1))
        self.head = (struct.pack(">hiqqqhii", 0, count - 1, 1, 1, -1, -1, -1, count))
        self.state = crc32c(self.head + self.shared)

    def make(self, number):
        last = record(self.count - 1, b"%012d" % number, b"{}")
        crc = crc32c(last, self.state) ^ 0xFFFFFFFF
        body = struct.pack(">ibI", 0, 2, crc) + self.head + self.shared + last
        return struct.pack(">qi", 0, len(body)) + body


def packed(records, count):
    """A batch of them, with gzip."""
    body = gzip.compress(records, 1)
    head = struct.pack(">hiqqqhii", 1, count - 1, 1, 1, -1, -1, -1, count)
    crc = crc32c(head + body) ^ 0xFFFFFFFF
    batch = struct.pack(">ibI", 0, 2, crc) + head + body
    return struct.pack(">qi", 0, len(batch)) + batch


def text(value):
    return struct.pack(">h", len(value)) + value


class Client:
    """One connection that produces to partition 0 of `events` with acks=all, version 3."""

    def __init__(self, garner):
        self.socket = socket.create_connection(("127.0.0.1", garner.kafka_port), 120)
        self.stream = self.socket.makefile("rb")

    @staticmethod
    def request(batch):
        request = (struct.pack(">hhi", 0, 3, 1) + text(b"pressure") + struct.pack(">h", -1)
                   + struct.pack(">hii", -1, 60000, 1) + text(b"events")
                   + struct.pack(">iii", 1, 0, len(batch)))
        return struct.pack(">i", len(request) + len(batch)) + request + batch

    def produce(self, batch):
        """The partition's error code and base offset."""
        self.socket.sendall(self.request(batch))
        return self.answer()

    def answer(self):
        size, = struct.unpack(">i", self.stream.read(4))
        answer = self.stream.read(size)
        at = 4 + 4 + 2 + len("events") + 4
        _, code, offset = struct.unpack_from(">ihq", answer, at)
        return code, offset

    def close(self):
        self.stream.close()
        self.socket.close()


def memory(garner, field):
    with open(f"/proc/{garner.process.pid}/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024


def kcat(garner, *words, stdin=b"", check=True):
    return subprocess.run(["kcat", "-b", f"127.0.0.1:{garner.kafka_port}", *map(str, words)],
                          input=stdin, capture_output=True, timeout=120, check=check)


def consume(garner, form):
    return kcat(garner, "-C", "-t", "events", "-o", "beginning", "-e", "-q", "-f",
                form).stdout.splitlines()


def produce_at_once(garner, batches):
    """All of them at the same time, from a connection each, until they are taken or refused for
    good: the error code and the base offset of each."""
    answers = {}

    def produce(number, batch):
        client = Client(garner)
        answers[number] = client.produce(batch)
        while answers[number][0] in LATER:
            answers[number] = client.produce(batch)
        client.close()

    threads = [threading.Thread(target=produce, args=(n, batch), daemon=True)
               for n, batch in enumerate(batches)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(answers) == len(batches)
    return [answers[n] for n in range(len(batches))]


def assert_all_there(garner, answers, count):
    """Each batch of `count` records once, as it was acknowledged."""
    assert [code for code, _ in answers] == [0] * len(answers)
    offsets = {n: offset for n, (_, offset) in enumerate(answers)}
    assert sorted(offsets.values()) == [n * count for n in range(len(offsets))]
    read = [row.split(b" ") for row in consume(garner, "%o %k\n")]
    assert [int(offset) for offset, _ in read] == list(range(len(offsets) * count))
    assert {int(key): int(offset) - count + 1 for offset, key in read[count - 1::count]} == offsets
    ledger = garner.ledger()
    assert_balanced(ledger)
    assert ledger["topics"]["events"]["accepted"] == len(offsets) * count
