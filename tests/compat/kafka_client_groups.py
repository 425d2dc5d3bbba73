"""Consumer groups of other people's clients: members share partitions, among clients of one kind
and of all kinds, and go on where their group was."""
import pytest

from lib.kafka_clients import DRIVERS
from lib.server import assert_balanced
from lib.wait import until

TOPIC = {"topics": ["events"]}
PARTITIONS = 6
# kafkajs has one assignor, of its own name, and no static members; Sarama has no cooperative one.
COOPERATIVE = [name for name in DRIVERS if name not in ("kafkajs", "sarama")]
STATIC = [name for name in DRIVERS if name != "kafkajs"]


@pytest.fixture
def garner(make_garner):
    return make_garner(contracts={"events": {"partitions": PARTITIONS}}).start()


@pytest.fixture
def join(drivers, garner):
    """Starts members; all end with the test."""
    yield lambda name, group="g", **options: drivers.member(garner, name, group, **TOPIC, **options)
    drivers.end_members()


@pytest.fixture(params=DRIVERS)
def name(request):
    return request.param


def produce(drivers, garner, numbers):
    drivers.at(garner, "librdkafka").produce("events", [
        {"partition": n % PARTITIONS, "value": b"%d" % n} for n in numbers])


def wait_shared(members):
    """Until the members have all partitions, and none twice."""
    def shared():
        parts = [sorted(member.assigned or ()) for member in members]
        return sorted(sum(parts, [])) == list(range(PARTITIONS)) and all(parts) or parts
    until(lambda: shared() is True, f"{[m.name for m in members]} to share; at last "
                                    f"{[m.history[-3:] for m in members]}", 60)


def numbers(*members):
    return sorted(int(value) for member in members for _, _, value in member.records)


def wait_read(wanted, *members):
    until(lambda: set(wanted) <= set(numbers(*members)), f"{len(wanted)} records to be read", 60)


def test_two_members_share_and_one_takes_over(drivers, garner, join, name):
    first = join(name)
    wait_shared([first])
    second = join(name)
    wait_shared([first, second])
    produce(drivers, garner, range(120))
    wait_read(range(120), first, second)
    second.leave()
    wait_shared([first])
    produce(drivers, garner, range(120, 180))
    wait_read(range(180), first, second)
    first.leave()
    # What was committed before partitions changed hands is not read again.
    assert numbers(first, second) == list(range(180))
    assert not first.refused + second.refused
    committed = drivers.at(garner, name).ask("committed", group="g", topic="events",
                                             partitions=list(range(PARTITIONS)))
    assert [(p, offset) for p, offset, _ in committed["offsets"]] == \
        [(p, 180 // PARTITIONS) for p in range(PARTITIONS)]
    assert_balanced(garner.ledger())


def test_a_group_goes_on_where_it_was(drivers, garner, join, name):
    produce(drivers, garner, range(60))
    first = join(name)
    wait_read(range(60), first)
    first.leave()
    garner.kill()
    garner.start()
    produce(drivers, garner, range(60, 90))
    second = join(name)
    wait_read(range(60, 90), second)
    second.leave()
    assert numbers(second) == list(range(60, 90))


@pytest.mark.parametrize("name", STATIC, indirect=True)
def test_a_static_member_that_comes_back_has_what_it_had(join, name):
    first, second = join(name, instance="one"), join(name, instance="two")
    wait_shared([first, second])
    had, seen = first.assigned, len(second.history)
    first.kill()
    again = join(name, instance="one")
    until(lambda: again.assigned, "the member to be back", 60)
    assert again.assigned == had
    assert len(second.history) == seen


@pytest.mark.parametrize("name", COOPERATIVE, indirect=True)
def test_a_cooperative_member_keeps_what_it_can(drivers, garner, join, name):
    first = join(name, assignor="cooperative")
    wait_shared([first])
    second = join(name, assignor="cooperative")
    wait_shared([first, second])
    # It never gave up more than the other was to have.
    assert all(first.assigned <= had for had in first.history[first.history.index(
        set(range(PARTITIONS))):])
    produce(drivers, garner, range(60))
    wait_read(range(60), first, second)
    assert numbers(first, second) == list(range(60))


def test_clients_of_all_kinds_share_through_rebalances(drivers, garner, join):
    names = [name for name in DRIVERS if name != "kafkajs"]
    members = [join(name, assignor="range") for name in names]
    assert len(members) == PARTITIONS
    wait_shared(members)
    produce(drivers, garner, range(600))
    wait_read(range(600), *members)
    # One dies, one leaves, and another comes, all at once.
    members[0].kill()
    members[1].leave()
    alive = members[2:] + [join("franz-go", assignor="range"), join("librdkafka", assignor="range")]
    wait_shared(alive)
    produce(drivers, garner, range(600, 1200))
    wait_read(range(1200), *members, *alive)
    assert_balanced(garner.ledger())


def test_what_one_committed_all_see(drivers, garner, name):
    # kafkajs has no metadata in its admin calls.
    metadata = "" if name == "kafkajs" else f"ümlaut of {name} " + "m" * 1000
    places = [[p, 7 * p, metadata] for p in range(3)]
    client = drivers.at(garner, name)
    produce(drivers, garner, range(150))
    client.ask("commit", group="g", topic="events", places=places)
    for other in DRIVERS:
        answer = drivers.at(garner, other).ask("committed", group="g", topic="events",
                                               partitions=[0, 1, 2, 3])
        assert [place[:2] for place in answer["offsets"]] == \
            [*(place[:2] for place in places), [3, None]], other
        # confluent-kafka ends what it commits with a null byte, and reads up to one.
        if "librdkafka" not in (name, other) or name == other:
            assert answer["offsets"] == [*places, [3, None, ""]], other


def test_kafkajs_reads_what_all_wrote(drivers, garner, name):
    written = [{"partition": n % PARTITIONS, "key": b"k%d" % n, "value": b"v%d" % n,
                "timestamp": 1_700_000_000_000 + n, "headers": [("h", b"%d" % n)]}
               for n in range(300)]
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        drivers.at(garner, name).produce("events", written, codec=codec)
    read = drivers.at(garner, "kafkajs").consume("events", 1500,
                                                 [(p, 0) for p in range(PARTITIONS)])
    shape = lambda r: (r["partition"], r["key"], r["value"], r["timestamp"], r["headers"])
    assert sorted(map(shape, read)) == sorted(5 * list(map(shape, written)))
