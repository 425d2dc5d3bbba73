"""Kafka's messages as others describe and write them: every API and version of messages.txt has
the fields of Kafka's own descriptions (which kafka-python has), and becomes franz-go's bytes."""
import json
import re
import runpy
import struct
import subprocess

import pytest

from lib.kafka_clients import DEPS, made
from lib.server import ROOT, program

GEN = runpy.run_path(str(ROOT / "tools" / "kafka-gen"))
APIS = GEN["parse"]((ROOT / "src/proto/kafka/messages.txt").read_text())
NEVER = GEN["NEVER"]
HEAD = struct.Struct(">BhhI")
# What only the nodes of a cluster send one another.
BETWEEN_NODES = {"snapshot_id"}


@pytest.fixture(scope="module")
def described():
    """Kafka's description of each message: {(key, "request" or "response"): its JSON}."""
    made("python")
    found = {}
    for path in (DEPS / "python/kafka/protocol/schemas/resources").glob("*.json"):
        # Comments stand on lines of their own, or behind a field.
        said = json.loads(re.sub(r"(?m)^\s*//.*$|\s//\s.*$", "", path.read_text()))
        if "apiKey" in said:
            found[said["apiKey"], said["type"]] = said
    return found


def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def has(versions, version):
    """True when `3`, `3-5` or `3+` has the version."""
    if versions in (None, "none"):
        return False
    first, last = GEN["versions"](versions, NEVER)
    return first <= version <= last


def default_of(text):
    if text in (None, "", "false", "null"):
        return 0
    return 1 if text == "true" else int(str(text), 0)


def kafkas_fields(said, commons, version):
    """What a version has, as lists: name, type, array, nullable, tag, default, fields."""
    for field in said:
        if not has(field["versions"], version) or snake(field["name"]) in BETWEEN_NODES:
            continue
        kind = field["type"].removeprefix("[]")
        fields = field.get("fields") or commons.get(kind, [])
        tag = field.get("tag") if has(field.get("taggedVersions"), version) else None
        yield [snake(field["name"]), None if fields else kind, field["type"].startswith("[]"),
               has(field.get("nullableVersions"), version), -1 if tag is None else tag,
               default_of(field.get("default")),
               list(kafkas_fields(fields, commons, version))]


def our_fields(fields, version):
    for field in fields:
        if field.first <= version <= field.last:
            yield [field.name, field.type if field.type in GEN["TYPES"] else None, field.array,
                   version >= field.nullable, field.tag, default_of(field.default),
                   list(our_fields(field.fields, version))]


@pytest.mark.parametrize("kind", ["request", "response"])
@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
def test_every_version_has_the_fields_that_kafka_describes(described, api, kind):
    said = described[api.key, kind]
    commons = {common["name"]: common["fields"] for common in said.get("commonStructs", [])}
    assert default_of(said["flexibleVersions"].rstrip("+").replace("none", str(NEVER))) == \
        api.flexible
    for version in range(api.first, api.last + 1):
        ours = list(our_fields(api.messages[kind], version))
        assert ours == list(kafkas_fields(said["fields"], commons, version)), version


def frames(data):
    at = 0
    while at < len(data):
        kind, key, version, size = HEAD.unpack_from(data, at)
        at += HEAD.size
        yield (key, ("request", "response")[kind], version), data[at:at + size]
        at += size


@pytest.mark.parametrize("seed", range(3))
def test_what_franz_go_writes_is_decoded_and_encoded_to_the_same_bytes(seed):
    made("go")
    build = program().parent
    target = "tests/compat/message_tool"
    subprocess.run(["ninja", "-C", build, target], check=True, stdout=subprocess.DEVNULL)
    asked = "".join(f"{api.key} {api.first} {api.last}\n" for api in APIS)
    written = subprocess.run([DEPS / "go" / "messages", str(seed), "20"], input=asked.encode(),
                             check=True, capture_output=True).stdout
    done = subprocess.run([build / target], input=written, check=True, capture_output=True)
    assert not done.stderr, done.stderr.decode()
    pairs = list(zip(frames(written), frames(done.stdout), strict=True))
    assert {what for (what, _), _ in pairs} == {
        (api.key, kind, version) for api in APIS for kind in ("request", "response")
        for version in range(api.first, api.last + 1)}
    for (what, theirs), (_, ours) in pairs:
        assert theirs == ours, what
