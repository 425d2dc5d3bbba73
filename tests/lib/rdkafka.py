"""librdkafka's producer, called as it is: kcat ends when its only broker is away for a moment."""
import ctypes

CONF_OK = 0


class Message(ctypes.Structure):
    _fields_ = [("err", ctypes.c_int), ("topic", ctypes.c_void_p), ("partition", ctypes.c_int32),
                ("payload", ctypes.c_void_p), ("size", ctypes.c_size_t), ("key", ctypes.c_void_p),
                ("key_size", ctypes.c_size_t), ("offset", ctypes.c_int64),
                ("private", ctypes.c_void_p)]


DELIVERED = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(Message), ctypes.c_void_p)


class Producer:
    """Writes to one partition. `delivered`: offsets by payload, `failed`: errors by payload, both
    as of the last poll."""

    def __init__(self, port, topic, partition=0, **conf):
        self.lib = ctypes.CDLL("librdkafka.so.1")
        for name in ("conf_new", "new", "topic_new"):
            getattr(self.lib, f"rd_kafka_{name}").restype = ctypes.c_void_p
        self.delivered, self.failed, self.partition = {}, {}, partition
        self.callback = DELIVERED(self.on_delivered)
        made = ctypes.c_void_p(self.lib.rd_kafka_conf_new())
        text = ctypes.create_string_buffer(512)
        conf = {"bootstrap.servers": f"127.0.0.1:{port}", "log_level": "0", **conf}
        for name, value in conf.items():
            done = self.lib.rd_kafka_conf_set(made, name.encode(), str(value).encode(), text, 512)
            assert done == CONF_OK, text.value
        self.lib.rd_kafka_conf_set_dr_msg_cb(made, self.callback)
        self.handle = ctypes.c_void_p(self.lib.rd_kafka_new(0, made, text, ctypes.c_size_t(512)))
        assert self.handle, text.value
        self.topic = ctypes.c_void_p(self.lib.rd_kafka_topic_new(self.handle, topic.encode(), None))

    def on_delivered(self, _handle, message, _opaque):
        m = message.contents
        payload = ctypes.string_at(m.payload, m.size)
        if m.err:
            self.failed[payload] = m.err
        else:
            self.delivered[payload] = m.offset

    def produce(self, payload):
        """The payload is copied, and sent sooner or later; blocks while too much waits."""
        done = self.lib.rd_kafka_produce(self.topic, ctypes.c_int32(self.partition), 0x2 | 0x4,
                                         payload, ctypes.c_size_t(len(payload)), None,
                                         ctypes.c_size_t(0), None)
        assert done == 0

    def flush(self, seconds):
        """Waits until each payload has its outcome."""
        left = self.lib.rd_kafka_flush(self.handle, int(seconds * 1000))
        assert left == 0, "not all were answered"

    def fatal(self):
        """What ended the producer for good, or None."""
        text = ctypes.create_string_buffer(512)
        fatal = self.lib.rd_kafka_fatal_error(self.handle, text, ctypes.c_size_t(512))
        return text.value if fatal else None

    def close(self):
        self.lib.rd_kafka_topic_destroy(self.topic)
        self.lib.rd_kafka_destroy(self.handle)
