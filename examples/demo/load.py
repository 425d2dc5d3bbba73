#!/usr/bin/env python3
"""Sends a file of JSON to a topic over HTTP, as any program could.

usage: load.py HOST:PORT TOPIC FILE...

A file holds an array; where its elements have `examples` (the webhooks of GitHub), each of those is
a record, with the name of its event. Dates like 2001/01/31 07:05 become RFC 3339.
"""
import http.client
import json
import re
import sys
import time

BATCH_BYTES = 1 << 20
DATE = re.compile(r"(\d{4})/(\d\d)/(\d\d) (\d\d:\d\d)")


def records(path):
    with open(path, encoding="utf-8") as file:
        for item in json.load(file):
            if "examples" in item:
                for example in item["examples"]:
                    yield {"event": item["name"], **example}
            else:
                if isinstance(item.get("date"), str):
                    item["date"] = DATE.sub(r"\1-\2-\3T\4:00Z", item["date"])
                yield item


def batches(paths):
    body = bytearray()
    for path in paths:
        for record in records(path):
            body += json.dumps(record, separators=(",", ":")).encode() + b"\n"
            if len(body) >= BATCH_BYTES:
                yield bytes(body)
                body.clear()
    if body:
        yield bytes(body)


def main():
    server, topic, *paths = sys.argv[1:]
    bodies = list(batches(paths))
    connection = http.client.HTTPConnection(server, timeout=30)
    counts = {"accepted": 0, "dead_lettered": 0}
    started = time.monotonic()
    for body in bodies:
        connection.request("POST", f"/v1/topics/{topic}/records", body,
                           {"Content-Type": "application/x-ndjson"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200:
            sys.exit(f"load.py: {response.status} {answer}")
        for name in counts:
            counts[name] += answer[name]
    seconds = time.monotonic() - started
    size = sum(map(len, bodies)) / 1e6
    print(f"  {topic}: {counts['accepted']} records accepted, {counts['dead_lettered']} "
          f"dead-lettered, {size:.1f} MB; {sum(counts.values()) / seconds:,.0f} records/s")


if __name__ == "__main__":
    main()
