"""The official JSON-Schema-Test-Suite, as the source of the Python module jsonschema carries it.

All mandatory cases of drafts 2020-12 and 7 hold, and the optional ones, except the files that are
listed here with their reason. What the suite serves from a web server is handed over as documents.
"""
import json
import shutil
import subprocess
import sys
import tarfile

import pytest

from lib.server import ROOT, program

PACKAGE = ("jsonschema", "4.26.0")
DRAFTS = {"draft2020-12": "2020-12", "draft7": "7"}

# Files of optional cases that are not for us, by their end.
NOT_CLAIMED = {
    "optional/cross-draft.json": "draft 2019-09 is none of the two drafts",
    "optional/dependencies-compatibility.json": "2020-12 has no keyword `dependencies`",
    "optional/content.json": "contentEncoding and contentMediaType are annotations",
    "optional/format/idn-email.json": "not a format that is asserted",
    "optional/format/idn-hostname.json": "not a format that is asserted",
    "optional/format/iri.json": "not a format that is asserted",
    "optional/format/iri-reference.json": "not a format that is asserted",
    "optional/format/relative-json-pointer.json": "not a format that is asserted",
    "optional/format/uri-template.json": "not a format that is asserted",
}


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """The folder of the suite."""
    name, version = PACKAGE
    target = ROOT / "build" / "deps" / f"{name}-{version}-source"
    if not target.exists():
        work = tmp_path_factory.mktemp("source")
        got = subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                              "--disable-pip-version-check", "--no-binary", name, "--dest", work,
                              f"{name}=={version}"], capture_output=True, text=True, check=False)
        if got.returncode != 0:
            pytest.skip(f"cannot fetch the source of {name} {version}: {got.stderr[-300:]}")
        with tarfile.open(work / f"{name}-{version}.tar.gz") as archive:
            archive.extractall(work)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(work / f"{name}-{version}", target)
    return target / "json"


def orders(suite):
    """What to tell the tool, and for each answer (file, group, case, expected)."""
    lines, answers = [], []
    for path in sorted((suite / "remotes").rglob("*.json")):
        name = path.relative_to(suite / "remotes").as_posix()
        if name.startswith(("baseUriChange", "nested", "draft2019-09", *DRAFTS)) or "/" not in name:
            text = json.dumps(json.loads(path.read_text()))
            lines.append(f"D\thttp://localhost:1234/{name}\t{text}")
    for folder, draft in DRAFTS.items():
        for path in sorted((suite / "tests" / folder).rglob("*.json")):
            name = path.relative_to(suite / "tests").as_posix()
            formats = int("/format/" in name)
            for group in json.loads(path.read_text()):
                lines.append(f"S\t{draft}\t{formats}\t{json.dumps(group['schema'])}")
                answers.append((name, group["description"], None, True))
                for case in group["tests"]:
                    lines.append(f"V\t{json.dumps(case['data'])}")
                    answers.append((name, group["description"], case["description"],
                                    case["valid"]))
    return lines, answers


@pytest.fixture(scope="module")
def verdicts(suite):
    """[((file, group, case), expected, answer)], the case None for the schema itself."""
    build = program().parent
    target = "tests/compat/json_schema_verdict"
    subprocess.run(["ninja", "-C", build, target], check=True, stdout=subprocess.DEVNULL)
    lines, answers = orders(suite)
    done = subprocess.run([build / target], input="\n".join(lines) + "\n", check=True,
                          capture_output=True, text=True)
    said = done.stdout.splitlines()
    assert len(said) == len(answers)
    return [(tuple(place), valid, line) for (*place, valid), line in zip(answers, said)]


def wrong(verdicts, wanted):
    return [(place, line) for place, valid, line in verdicts
            if wanted(place[0]) and (line == "ok") != valid]


def test_every_mandatory_case_holds(verdicts):
    def mandatory(name):
        return "/optional/" not in name
    assert len({place[0] for place, _, _ in verdicts if mandatory(place[0])}) == 46 + 37
    assert sum(1 for place, _, _ in verdicts if mandatory(place[0]) and place[2]) == 2170
    assert wrong(verdicts, mandatory) == []


def test_every_optional_case_that_is_claimed_holds(verdicts):
    def claimed(name):
        return "/optional/" in name and not name.endswith(tuple(NOT_CLAIMED))
    assert sum(1 for place, _, _ in verdicts if claimed(place[0]) and place[2]) == 891
    assert wrong(verdicts, claimed) == []


def test_every_file_that_is_not_claimed_is_there_and_has_a_case_that_fails(verdicts):
    for end in NOT_CLAIMED:
        assert wrong(verdicts, lambda name, end=end: name.endswith(end)), end


@pytest.mark.parametrize("name", ["draft2020-12/unevaluatedProperties.json",
                                  "draft7/dependencies.json",
                                  "draft2020-12/optional/format/date-time.json"])
def test_the_command_says_the_same(name, suite, tmp_path):
    schema = tmp_path / "schema.json"
    for group in json.loads((suite / "tests" / name).read_text()):
        schema.write_text(json.dumps(group["schema"]))
        flags = ["--format-assertion"] if "/format/" in name else []
        lines = "".join(json.dumps(case["data"]) + "\n" for case in group["tests"])
        done = subprocess.run([program(), "validate", "--schema", schema, "--draft",
                               DRAFTS[name.split("/")[0]], *flags],
                              input=lines, capture_output=True, text=True, check=False)
        said = [line.split("\t")[0] == "ok" for line in done.stdout.splitlines()]
        assert said == [case["valid"] for case in group["tests"]], group["description"]
        assert done.returncode == (0 if all(said) else 1)


def test_a_pipe_is_answered_as_it_comes(tmp_path):
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "integer"}')
    with subprocess.Popen([program(), "validate", "--schema", schema], text=True, bufsize=1,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for line, verdict in (("1", "ok"), ("1.5", "error"), ("2e0", "ok")):
            process.stdin.write(line + "\n")
            assert process.stdout.readline().split("\t")[0].strip() == verdict
        process.stdin.close()
        assert process.wait(timeout=60) == 1
