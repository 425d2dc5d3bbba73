"""The server checks what is on its disk, and says which records the disk has lost."""
import re
import subprocess

from lib.wait import until

FAST = {"wal_limit": "32MiB", "check_every": "1s"}
BATCH = [{"n": n, "pad": "x" * 1000} for n in range(1000)]


def metric(garner, name):
    return float(re.search(rf"^{name} (\S+)$", garner.metrics(), re.M)[1])


def segments(garner):
    return sorted((garner.data_dir / "topics").glob("events-*/0/*.log"))


def write_and_seal(garner):
    """More than a file of the log holds, so that there are segments."""
    with garner.client() as client:
        for _ in range(25):
            assert client.post_ndjson("events", BATCH).json()["accepted"] == len(BATCH)
    until(lambda: metric(garner, "garner_log_seal_files_total") >= 1, "a file to be sealed")


def wait_checked(garner):
    """Until a round that began behind this moment has ended."""
    for _ in range(2):
        last = metric(garner, "garner_log_check_completed_timestamp_seconds")
        until(lambda: metric(garner, "garner_log_check_completed_timestamp_seconds") > last,
              "a round of the check to end", 60)


def test_a_good_disk_has_no_differences(make_garner):
    garner = make_garner(config=FAST).start()
    write_and_seal(garner)
    wait_checked(garner)
    assert metric(garner, "garner_log_check_differences") == 0
    assert metric(garner, "garner_log_check_pending_bytes") == 0
    assert metric(garner, "garner_log_check_read_bytes_total") >= segments(garner)[0].stat().st_size
    assert "log_check_failed" not in garner.log_text()


def test_a_flipped_bit_is_found_named_and_counted(make_garner):
    garner = make_garner(config=FAST).start()
    write_and_seal(garner)
    garner.kill()
    path = segments(garner)[0]
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))
    garner.start()
    until(lambda: metric(garner, "garner_log_check_differences") == 1, "the difference", 60)
    told = re.search(r"log_check_failed.*topic events partition 0 offsets (\d+) to (\d+).*"
                     rf"{path.name}.*garner fsck", garner.log_text())
    assert told, garner.log_text()
    assert 0 < int(told[1]) <= int(told[2]) < 25 * len(BATCH)
    with garner.client() as client:
        assert client.post_ndjson("events", BATCH).json()["accepted"] == len(BATCH)


def test_metrics_of_sealing_and_of_the_check_follow_the_conventions(make_garner, promtool):
    garner = make_garner(config=FAST).start()
    write_and_seal(garner)
    found = subprocess.run([promtool, "check", "metrics"], input=garner.metrics().encode(),
                           capture_output=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")


def test_a_stop_does_not_wait_for_the_check(make_garner):
    garner = make_garner(config=FAST).start()
    write_and_seal(garner)
    until(lambda: metric(garner, "garner_log_check_read_bytes_total") > 0, "the check to begin", 60)
    assert garner.stop() == 0
