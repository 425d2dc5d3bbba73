"""Random schemas and values: the Python module jsonschema and we come to the same verdicts.

Left out are values of which the two may think differently: numbers that a double cannot hold, and
patterns whose dialects differ.
"""
import json
import os
import random
import subprocess
import sys
import time

import pytest

from lib.server import ROOT, program

PACKAGES = [("jsonschema", "4.26.0"), ("jsonschema-specifications", "2025.9.1"),
            ("referencing", "0.37.0"), ("rpds-py", "0.30.0"), ("attrs", "25.4.0"),
            ("typing_extensions", "4.15.0")]
DEPS = ROOT / "build" / "deps"
SCHEMAS = 3000
VALUES = 6

NAMES = ["a", "b", "ab", "x/y", ""]
SCALARS = [None, True, False, 0, 1, 1.0, -1, 2, 2.5, 3, 0.5, 10, "", "a", "ab", "b1",
           "\u00e9\U0001f600"]
PATTERNS = ["^a", "b$", "[0-9]", ".", "^$", "a|b", "^(ab)*$"]


def install(package, version):
    """Where the package is, from the package index and kept for later runs."""
    target = DEPS / f"{package}-{version}"
    if not target.exists():
        half = target.with_name(f"{target.name}.half")
        got = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps",
                              "--disable-pip-version-check", "--upgrade", "--target", half,
                              f"{package}=={version}"], capture_output=True, text=True,
                             check=False)
        if got.returncode != 0:
            pytest.skip(f"cannot fetch {package} {version}: {got.stderr[-300:]}")
        half.rename(target)
    return str(target)


# Runs apart from the tests, whose own modules are older than what jsonschema wants.
ORACLE = """
import json, sys, jsonschema
kinds = {"2020-12": jsonschema.Draft202012Validator, "7": jsonschema.Draft7Validator}
for line in sys.stdin:
    schema, values = json.loads(line)
    validator = kinds[sys.argv[1]](schema)
    print(json.dumps([validator.is_valid(value) for value in values]))
"""


@pytest.fixture(scope="module")
def oracle():
    """Says of (schema, values) pairs, for each, which of the values are valid."""
    path = os.pathsep.join(install(package, version) for package, version in PACKAGES)

    def run(draft, pairs):
        done = subprocess.run([sys.executable, "-c", ORACLE, draft], check=True, text=True,
                              input="".join(json.dumps(pair) + "\n" for pair in pairs),
                              env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE)
        return [json.loads(line) for line in done.stdout.splitlines()]
    return run


def verdicts(draft, pairs):
    """The same of our checker, as lines: one for the schema, one for each value."""
    build = program().parent
    target = "tests/compat/json_schema_verdict"
    subprocess.run(["ninja", "-C", build, target], check=True, stdout=subprocess.DEVNULL)
    lines = []
    for schema, values in pairs:
        lines.append(f"S\t{draft}\t0\t{json.dumps(schema)}")
        lines += [f"V\t{json.dumps(value)}" for value in values]
    done = subprocess.run([build / target], input="\n".join(lines) + "\n", check=True,
                          capture_output=True, text=True)
    said = iter(done.stdout.splitlines())
    return [(next(said), [next(said) for _ in values]) for _, values in pairs]


class Maker:
    """Makes schemas of a draft, and values that have a chance with them."""

    def __init__(self, source, draft):
        self.random, self.draft = source, draft
        self.definitions = "$defs" if draft == "2020-12" else "definitions"

    def value(self, depth=0):
        kind = self.random.randrange(5) if depth < 3 else 0
        if kind < 3:
            return self.random.choice(SCALARS)
        size = self.random.randrange(4)
        if kind == 3:
            return [self.value(depth + 1) for _ in range(size)]
        return {self.random.choice(NAMES): self.value(depth + 1) for _ in range(size)}

    def count(self):
        return self.random.randrange(4)

    def number(self):
        return self.random.choice([0, 1, 1.5, 2, -1, 0.5])

    def names(self):
        return self.random.sample(NAMES, self.random.randrange(3))

    def schemas(self, depth):
        return [self.schema(depth + 1) for _ in range(1 + self.random.randrange(3))]

    def map(self, depth, keys):
        chosen = self.random.sample(keys, 1 + self.random.randrange(2))
        return {key: self.schema(depth + 1) for key in chosen}

    def common(self, depth):
        """What both drafts have: {keyword: makes a value}."""
        one = lambda: self.schema(depth + 1)
        return {
            "type": lambda: self.random.choice(["null", "boolean", "object", "array", "number",
                                                "string", "integer", ["integer", "string"]]),
            "enum": lambda: [self.value(1) for _ in range(3)],
            "const": lambda: self.value(1),
            "multipleOf": lambda: self.random.choice([1, 2, 0.5, 1.5]),
            "maximum": self.number, "minimum": self.number,
            "exclusiveMaximum": self.number, "exclusiveMinimum": self.number,
            "maxLength": self.count, "minLength": self.count,
            "maxItems": self.count, "minItems": self.count,
            "maxProperties": self.count, "minProperties": self.count,
            "pattern": lambda: self.random.choice(PATTERNS),
            "uniqueItems": lambda: self.random.random() < 0.8,
            "required": self.names,
            "contains": one, "propertyNames": one, "additionalProperties": one, "not": one,
            "if": one, "then": one, "else": one,
            "properties": lambda: self.map(depth, NAMES),
            "patternProperties": lambda: self.map(depth, PATTERNS),
            "allOf": lambda: self.schemas(depth), "anyOf": lambda: self.schemas(depth),
            "oneOf": lambda: self.schemas(depth),
        }

    def keywords(self, depth):
        one = lambda: self.schema(depth + 1)
        words = self.common(depth)
        if self.draft == "7":
            # The module cannot do `items: true` beside additionalItems.
            words |= {"items": lambda: self.random.choice([self.schemas(depth),
                                                           {"allOf": [one()]}]),
                      "additionalItems": one,
                      "dependencies": lambda: {self.random.choice(NAMES): self.random.choice(
                          [self.names(), one()])}}
        else:
            words |= {"items": one, "prefixItems": lambda: self.schemas(depth),
                      "minContains": self.count, "maxContains": self.count,
                      "dependentRequired": lambda: {self.random.choice(NAMES): self.names()},
                      "dependentSchemas": lambda: self.map(depth, NAMES),
                      "unevaluatedItems": one, "unevaluatedProperties": one}
        return words

    def schema(self, depth=0):
        if depth > 2 and self.random.random() < 0.5:
            return self.random.choice([True, False, {}, {"type": "string"}, {"minimum": 1}])
        if depth > 0 and self.random.random() < 0.15:
            return {"$ref": f"#/{self.definitions}/{self.random.choice('pq')}"}
        words = self.keywords(depth)
        chosen = self.random.sample(sorted(words), self.random.choice([1, 1, 2, 3, 4]))
        return {word: words[word]() for word in chosen if depth < 4 or word == "type"}

    def whole(self):
        """A schema with definitions, which refer to nothing but simple ones: no circles."""
        schema = self.schema()
        schema[self.definitions] = {"p": {"type": ["integer", "object"]},
                                    "q": {"anyOf": [{"minLength": 2}, {"maximum": 1}],
                                          "properties": {"a": {"type": "integer"}}}}
        return schema


@pytest.mark.parametrize("draft", ["2020-12", "7"])
def test_random_schemas_and_values_get_the_same_verdict(draft, oracle):
    seed = int(os.environ.get("GARNER_TEST_SEED", time.time_ns() % 10**9))
    print(f"GARNER_TEST_SEED={seed}")
    maker = Maker(random.Random(seed), draft)
    pairs = [(maker.whole(), [maker.value() for _ in range(VALUES)]) for _ in range(SCHEMAS)]
    different, good = [], 0
    for (schema, values), valid, (compiled, lines) in zip(pairs, oracle(draft, pairs),
                                                          verdicts(draft, pairs), strict=True):
        assert compiled == "ok", schema
        good += sum(valid)
        different += [(json.dumps(schema), json.dumps(value), yes, line)
                      for value, yes, line in zip(values, valid, lines, strict=True)
                      if (line == "ok") != yes]
    assert different == []
    # Neither all nor nothing is refused, or little would be compared.
    assert 0.1 < good / (SCHEMAS * VALUES) < 0.9
