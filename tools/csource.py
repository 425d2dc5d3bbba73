"""Reads C source as far as the bars of tools/tidy need it: comments, functions, statements.

It follows the form that .clang-format gives the code and is no parser. Of #if ... #else only the
first branch is looked at where braces are matched.
"""
import re

TOKEN = re.compile(
    r'//(?:\\\n|[^\n])*'            # a line comment
    r'|/\*.*?(?:\*/|\Z)'            # a block comment
    r'|"(?:\\.|[^"\\\n])*"'         # a string
    r"|'(?:\\.|[^'\\\n])*'", re.S)  # a character
DIRECTIVE = re.compile(r'^[ \t]*#[ \t]*(\w*)(?:\\\n|[^\n])*', re.M)
ATTRIBUTE = re.compile(r'__attribute__\s*\(\(.*?\)\)', re.S)
SKIPPED = ("_Static_assert", "static_assert", "typedef", "extern", "_Pragma")


def blank(text):
    """Spaces in place of `text`, with its line ends."""
    return re.sub(r"[^\n]", " ", text)


def words(text):
    return " ".join(text.split())


class Function:
    def __init__(self, name, first, last, body):
        self.name, self.first, self.last, self.body = name, first, last, body

    @property
    def length(self):
        return self.last - self.first + 1


class Source:
    """One file. Lines count from 1.

    text       as it is
    uncommented  without comments
    code       without comments, strings and characters emptied
    plain      code without directives and without the other branches of #if
    """

    def __init__(self, path, text):
        self.path, self.text = path, text
        self.comment_lines = set()
        self.uncommented = TOKEN.sub(self._uncomment, text)
        self.code = TOKEN.sub(lambda m: m[0][0] + blank(m[0][1:-1]) + m[0][-1], self.uncommented)
        self.plain = without_directives(self.code)
        self.code_lines = sum(1 for line in self.code.splitlines() if line.strip())
        self.functions, self.statements = [], []
        self._split()

    def line_of(self, position):
        return self.text.count("\n", 0, position) + 1

    def _uncomment(self, match):
        token = match[0]
        if token[0] != "/":
            return token
        first = self.line_of(match.start())
        self.comment_lines.update(first + i for i, part in enumerate(token.split("\n"))
                                  if part.strip())
        return blank(token)

    def _split(self):
        """Finds what stands at the file's top level: functions, and statements as (line, text),
        with {} in place of what was in braces."""
        depth, head, opened = 0, "", 0
        start = 0
        function = False
        for match in re.finditer(r"[{};]|[^{};]+", self.plain):
            piece = match[0]
            if piece == "{":
                if depth == 0:
                    function = is_function_head(head)
                    opened = match.end()
                depth += 1
            elif piece == "}":
                depth = max(0, depth - 1)
                if depth == 0 and function:
                    self._add_function(head, start, opened, match.start())
                    head, function = "", False
                elif depth == 0:
                    head += "{}"
            elif depth == 0 and piece == ";":
                if head.strip():
                    self.statements.append((self.line_of(start), words(head)))
                head = ""
            elif depth == 0:
                if not head.strip():
                    start = match.start() + len(piece) - len(piece.lstrip())
                head += piece

    def _add_function(self, head, start, opened, closed):
        name = re.search(r"(\w+)\s*\(", ATTRIBUTE.sub("", head))
        self.functions.append(Function(name[1] if name else "?", self.line_of(start),
                                       self.line_of(closed), self.plain[opened:closed]))

    def mutable_variables(self):
        """Variables that outlive a call and may change: (line, name)."""
        for line, statement in self.statements:
            name = mutable_name(statement)
            if name:
                yield line, name
        for function in self.functions:
            for match in re.finditer(r"(?:^|[;{}])\s*(?=static\b)", function.body):
                name = mutable_name(statement_at(function.body, match.end()))
                if name:
                    yield function.first, name


def without_directives(code):
    """Blanks directives, and the #else and #elif branches with them."""
    out, position, stack = [], 0, []
    for match in DIRECTIVE.finditer(code):
        between = code[position:match.start()]
        out.append(between if all(stack) else blank(between))
        out.append(blank(match[0]))
        position = match.end()
        if match[1] in ("if", "ifdef", "ifndef"):
            stack.append(True)
        elif match[1] in ("else", "elif") and stack:
            stack[-1] = False
        elif match[1] == "endif" and stack:
            stack.pop()
    out.append(code[position:])
    return "".join(out)


def statement_at(code, position):
    """The statement that begins there, with {} in place of what is in braces."""
    depth, out = 0, ""
    for match in re.finditer(r"[{};]|[^{};]+", code[position:]):
        piece = match[0]
        if piece == ";" and depth == 0:
            break
        depth += (piece == "{") - (piece == "}")
        if piece == "}" and depth == 0:
            out += "{}"
        elif depth == 0:
            out += piece
    return words(out)


def is_function_head(head):
    head = ATTRIBUTE.sub("", head).strip()
    return head.endswith(")") and "=" not in head.split("(")[0] and not head.startswith("typedef")


def mutable_name(statement):
    """The name that a top-level or static statement defines, if its value can change."""
    if statement.startswith(SKIPPED):
        return None
    declarator = ATTRIBUTE.sub("", statement).split("=")[0].strip()
    if declarator.endswith("{}") or re.fullmatch(r"(struct|union|enum) \w+", declarator):
        return None
    pointer = re.match(r"[^(]*\(\s*\*([^()]*)\)", declarator)
    if "(" in declarator and not pointer:
        return None
    declared = pointer[1] if pointer else re.sub(r"\[[^]]*\]", "", declarator)
    if re.search(r"\bconst\b", declared.rsplit("*", 1)[-1]):
        return None
    names = re.findall(r"\w+", declared)
    return names[-1] if names else None
