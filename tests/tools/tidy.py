"""tools/tidy on small trees made for it: it finds what it is there to find, and nothing else."""
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

CONFIG = """
exceptions_max = {exceptions}
made_headers = ["log/made.h"]
[bars]
function_lines = 70
function_lines_p90 = 40
c_lines = 1000
h_lines = 500
columns = 100
mutable_exceptions = 10
assertions = 0.0
assertions_of = {{ log = 1.0 }}
comments_h = 0.0
comments_c = [0.0, {comments_most}]
repeated_runs = 0.0
test_lines = 0.0
[words]
refused = ["LATER"]
folders = ["src", "tests"]
not_in = []
[decoders]
frame = "log/frame.c"
[[calls]]
names = ["malloc", "open"]
allowed = ["base/alloc.c", "io/uv"]
why = "behind a door"
[[headers]]
names = ["uv.h"]
allowed = ["io/uv"]
{more}
"""

TABLE = """# Architecture
```layers
# folder   may include
base       -
io         base
io/*       base io
+low = base io
log        +low
```
"""


class Project:
    def __init__(self, root):
        self.root = root
        self.configure()
        self.write("docs/ARCHITECTURE.md", TABLE)
        self.exceptions([])

    def write(self, path, text, test=True):
        """Writes a file; a source gets its unit test unless `test` is false."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        if test and path.startswith("src/") and path.endswith(".c"):
            self.write(path.replace("src/", "tests/unit/", 1), "/* test */\n")

    def configure(self, exceptions=0, comments_most=9.9, more=""):
        self.write("tools/tidy.toml", CONFIG.format(exceptions=exceptions, more=more,
                                                    comments_most=comments_most))

    def exceptions(self, lines):
        self.write("tools/tidy-exceptions.txt", "".join(line + "\n" for line in lines))
        self.configure(exceptions=len(lines))

    def findings(self):
        run = subprocess.run([ROOT / "tools/tidy", "--root", self.root], capture_output=True,
                             text=True, check=False)
        assert run.stderr == ""
        assert run.returncode == (1 if run.stdout else 0)
        return run.stdout.splitlines()

    def finds(self, *parts):
        """There is one finding, and it holds all the parts."""
        found = self.findings()
        assert len(found) == 1, found
        for part in parts:
            assert part in found[0], found
        return True


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def function(name, lines, body="x += 1;"):
    return f"int {name}(int x)\n{{\n" + f"    {body}\n" * (lines - 4) + "    return x;\n}\n"


def test_silent_on_a_tree_within_its_bars(project):
    project.write("src/base/a.h", "#pragma once\nint base_a(int x);\n")
    project.write("src/base/a.c", '#include "base/a.h"\n' + function("base_a", 5))
    assert project.findings() == []


def test_the_table_forbids_what_it_does_not_list(project):
    project.write("src/log/log.h", "#pragma once\n")
    project.write("src/base/a.c", '\n#include "log/log.h"\n')
    assert project.finds("src/base/a.c:2: [layers]", "base may not include log")


def test_a_listed_folder_does_not_stand_for_its_sub_folders(project):
    project.write("src/io/uv/loop.h", "#pragma once\n")
    project.write("src/log/a.c", '#include "io/uv/loop.h"\n')
    assert project.finds("log may not include io/uv")


def test_siblings_of_a_starred_row_may_not_include_each_other(project):
    project.write("src/io/uv/loop.h", "#pragma once\n")
    project.write("src/io/other/a.c", '#include "io/uv/loop.h"\n')
    assert project.finds("io/other may not include io/uv")


def test_the_inside_of_another_folder_is_refused_and_that_of_the_own_is_not(project):
    project.write("src/base/a_int.h", "#pragma once\n")
    project.write("src/base/a.c", '#include "base/a_int.h"\n')
    project.write("src/io/a.c", '#include "base/a_int.h"\n')
    assert project.finds("src/io/a.c:1", "internal to base")


def test_includes_are_from_the_source_root(project):
    project.write("src/base/a.h", "#pragma once\n")
    project.write("src/base/a.c", '#include "a.h"\n')
    assert project.finds("write includes from src/")


def test_a_header_that_the_build_makes_stands_in_its_folder_all_the_same(project):
    project.write("src/log/a.c", '#include "log/made.h"\n')
    assert project.findings() == []
    project.write("src/base/a.c", '#include "log/made.h"\n')
    assert project.finds("src/base/a.c:1: [layers]", "base may not include log")


def test_an_include_in_a_comment_is_none(project):
    project.write("src/base/a.c", '/*\n#include "log/log.h"\n*/\n')
    assert project.findings() == []


def test_a_folder_must_be_in_the_table(project):
    project.write("src/extra/a.c", "")
    assert project.finds("src/extra/a.c:1", "'extra' is not in the table")


def test_the_table_has_no_cycle_and_no_unknown_folder(project):
    project.write("docs/ARCHITECTURE.md", "```layers\na b\nb a\nc nowhere\n```\n")
    found = "\n".join(project.findings())
    assert "a can reach itself" in found and "b can reach itself" in found
    assert "c: unknown folder 'nowhere'" in found


def test_a_missing_table_is_a_finding(project):
    project.write("docs/ARCHITECTURE.md", "nothing\n")
    assert project.finds("no ```layers block")


def test_calls_are_kept_behind_their_door(project):
    project.write("src/base/alloc.c", function("a", 5, "malloc(1);"))
    project.write("src/io/uv/a.c", function("b", 5, "open(x);"))
    assert project.findings() == []
    project.write("src/log/a.c", function("c", 5, "ASSERT(x); malloc(1);"))
    assert project.finds("src/log/a.c:3: [call] malloc()")


def test_members_strings_comments_and_longer_names_are_no_calls(project):
    project.write("src/base/a.c", function("a", 5, 'io->open(x), io.open(x), reopen("open(");')
                  + "/* open(x) */\n")
    assert project.findings() == []


def test_a_library_has_one_owner(project):
    project.write("src/io/uv/a.c", "#include <uv.h>\n")
    project.write("src/io/a.c", "#include <uv.h>\n")
    assert project.finds("src/io/a.c:1: [header] <uv.h>")


def test_a_header_begins_with_pragma_once(project):
    project.write("src/base/a.h", "/* what */\n#pragma once\n")
    assert project.findings() == []
    project.write("src/base/b.h", "#ifndef B\n#endif\n")
    assert project.finds("src/base/b.h:1: [header]")


def test_refused_words_are_found_where_they_stand(project):
    project.write("src/base/a.c", "\n\n/* LATER: this */\n")
    assert project.finds("src/base/a.c:3: [word] LATER")


@pytest.mark.parametrize("variable", [
    "static int count;", "int count = 1;", "static const char *count;", "static struct a count[3];",
    "static const char *count[] = {0};", "static void (*count)(int);", "_Thread_local int count;",
    "static struct { int a; } count;",
])
def test_a_variable_that_outlives_a_call_is_found(project, variable):
    project.write("src/base/a.c", variable + "\n")
    assert project.finds("src/base/a.c:1: [mutable] 'count'")


@pytest.mark.parametrize("statement", [
    "static const int table[] = {1, 2};", "static const char *const names[] = {0};",
    "extern int elsewhere;", "struct shape;", "struct shape { int side; };",
    "enum kind { A = 1, B };", "typedef int number;", "int call(int (*back)(int), void *p);",
    "_Static_assert(sizeof(int) == 4, \"size\");", "static void (*const fixed)(int) = 0;",
    "static int call(int a) __attribute__((format(printf, 1, 2)));",
])
def test_what_cannot_change_is_no_variable(project, statement):
    project.write("src/base/a.c", statement + "\n")
    assert project.findings() == []


def test_a_static_variable_in_a_function_is_found(project):
    project.write("src/base/a.c", function("a", 5, "static int calls = 0;"))
    assert project.finds("[mutable] 'calls'")
    project.write("src/base/a.c", function("a", 5, "static struct { int a; } calls[] = {{1}};"))
    assert project.finds("[mutable] 'calls'")
    for fixed in ("static const int calls = 0;", "static const struct { int a; } calls[] = {{1}};"):
        project.write("src/base/a.c", function("a", 5, fixed))
        assert project.findings() == []


def test_the_longest_function_allowed_passes_and_one_line_more_does_not(project):
    short = "".join(function(f"f{i}", 5) for i in range(20))
    project.write("src/base/a.c", short + function("long_one", 70))
    assert all("repeat" in finding for finding in project.findings())
    project.write("src/base/a.c", short + function("long_one", 71))
    assert any("long_one has 71 lines" in finding for finding in project.findings())


def test_braces_in_strings_and_in_other_branches_do_not_count(project):
    body = 'puts("}{");\n#if A\n    if (x) {\n#else\n    if (!x) {\n#endif\n    }'
    project.write("src/base/a.c", function("a", 5, body) + "static int seen;\n")
    assert project.finds("[mutable] 'seen'")


def test_a_tenth_of_long_functions_is_a_finding(project):
    distinct = "".join(function(f"f{i}", 45, f"x += {i};") for i in range(3))
    project.write("src/base/a.c", distinct)
    assert any("bar 40" in finding for finding in project.findings())


def test_long_files_and_long_lines_are_found(project):
    project.write("src/base/a.h", "#pragma once\n" + "\n" * 500)
    assert project.finds("src/base/a.h:500: [file-length] 501 lines")
    project.write("src/base/a.h", "#pragma once\n/* " + "x" * 98 + " */\n")
    assert project.finds("src/base/a.h:2: [line-length]")


def test_too_few_assertions_in_a_folder_that_owes_them(project):
    project.write("src/log/a.c", function("a", 5))
    assert project.finds("src/log:1: [ratio] assertions a function, log: 0.00")
    project.write("src/log/a.c", function("a", 5, "ASSERT(x);"))
    assert project.findings() == []


def test_too_many_comments_are_found(project):
    project.configure(comments_most=0.3)
    project.write("src/base/a.c", function("a", 5) + "/*\n * one\n * two\n */\n")
    assert project.finds("[ratio] comment lines a code line, .c: 0.80")


def test_a_repeated_run_of_six_lines_is_found_once(project):
    lines = "".join(f"    x = {i};\n" for i in range(9))
    project.write("src/base/a.c", f"int a(int x)\n{{\n{lines}    return x;\n}}\n")
    assert project.findings() == []
    project.write("src/base/b.c", f"int b(int x)\n{{\n{lines}    return 1;\n}}\n")
    assert project.finds("src/base/b.c:3: [repeat] repeats src/base/a.c:3")


def test_a_source_without_its_unit_test_is_found(project):
    project.write("src/base/a.c", "", test=False)
    assert project.finds("src/base/a.c:1: [unit-test] has no tests/unit/base/a.c")


def test_a_source_that_something_else_tests_needs_no_unit_test(project):
    project.configure(more='[tested_elsewhere]\n"base/a.c" = "the reason"\n')
    project.write("src/base/a.c", "", test=False)
    assert project.findings() == []
    project.write("tests/unit/base/a.c", "")
    assert project.finds("src/base/a.c:1: [unit-test] has tests/unit/base/a.c, tidy.toml says")


def test_a_decoder_needs_a_target_and_a_corpus(project):
    project.write("src/log/frame.c", "")
    assert project.finds("[fuzz] has no tests/fuzz/frame.c")
    project.write("tests/fuzz/frame.c", "")
    assert project.finds("[fuzz] has no tests/fuzz/corpus/frame/")
    project.write("tests/fuzz/corpus/frame/one", "x")
    assert project.findings() == []


def test_a_stale_generated_file_is_found(project):
    project.configure(more='[[generated]]\nfile = "docs/page.md"\ncommand = ["echo", "fresh"]\n')
    assert project.finds("docs/page.md:1: [generated] stale")
    project.write("docs/page.md", "fresh\n")
    assert project.findings() == []
    project.configure(more='[[generated]]\nfile = "docs/page.md"\ncommand = ["false"]\n')
    assert project.finds("[generated] false failed")


def test_an_exception_takes_away_one_finding_by_name(project):
    project.write("src/base/a.c", "static int one;\nstatic int two;\n")
    project.exceptions(["mutable src/base/a.c one the reason"])
    assert project.finds("'two'")


def test_an_exception_that_excuses_nothing_is_found(project):
    project.exceptions(["mutable src/base/a.c one the reason"])
    assert project.finds("tools/tidy-exceptions.txt:1", "excuses nothing")


def test_an_exception_needs_a_reason(project):
    project.write("src/base/a.c", "static int one;\n")
    project.exceptions(["mutable src/base/a.c one"])
    project.configure(exceptions=0)
    assert any("RULE PATH NAME REASON" in finding for finding in project.findings())


def test_the_list_of_exceptions_only_shrinks(project):
    project.write("src/base/a.c", "static int one;\n")
    project.exceptions(["mutable src/base/a.c one the reason"])
    assert project.findings() == []
    project.configure(exceptions=0)
    assert project.finds("it only goes down")
