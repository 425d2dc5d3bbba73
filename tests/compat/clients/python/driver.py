"""What the drivers of Python's clients share: commands off standard input, answers to standard
output, as ../README.md has them."""
import base64
import json
import select
import sys


def pack(data):
    return None if data is None else base64.b64encode(data).decode()


def unpack(text):
    return None if text is None else base64.b64decode(text)


def unpack_headers(headers):
    return [(name, unpack(value)) for name, value in headers]


def record(partition, offset, timestamp, key, value, headers):
    return {"partition": partition, "offset": offset, "timestamp": timestamp, "key": pack(key),
            "value": pack(value), "headers": [[name, pack(data)] for name, data in headers or []]}


def say(answer):
    print(json.dumps(answer), flush=True)


def told():
    """True once there is another line, which ends what a member of a group does. It is taken."""
    if not select.select([sys.stdin], [], [], 0)[0]:
        return False
    sys.stdin.readline()
    return True


def serve(commands, code_of):
    """Answers commands by the functions of their names until there are no more.

    code_of(exception) is Kafka's number of the error, or None for another kind of failure.
    """
    for line in sys.stdin:
        command = json.loads(line)
        try:
            say(commands[command.pop("do")](**command) or {})
        except Exception as error:  # pylint: disable=broad-except
            code = code_of(error)
            if code is None:
                raise
            say({"error": code, "detail": str(error)})
