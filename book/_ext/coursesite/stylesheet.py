"""One small style sheet from many: only the rules, variables, fonts and animations that some page can use.

The theme's style sheets weigh 400 kB, of which these pages use a twentieth. A rule stays if every tag, class and id of
one of its selectors occurs in the pages, or as a word in a script that may add it.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

WORD = re.compile(r"[A-Za-z][\w-]*")
NAME = r"-?[A-Za-z_][\w-]*"
SIMPLE = re.compile(rf"(?P<kind>[.#]?)(?P<name>{NAME})")
IGNORED = re.compile(r"\[[^\]]*\]|::?[\w-]+|\\.")
# Parts of the theme that its scripts name and this site does not have.
NEVER = re.compile(
    r"dropdown|list-group|version-|header-announcement|collapse-sidebar|expand-sidebar|\.margin(?![\w-])|\.sidebar(?![\w-])"
)
STRING = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'|`[^`]*`")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


class Vocabulary(HTMLParser):
    """The tags, classes and ids that pages use (``.name``, ``#name``, ``name``), and the words of scripts."""

    def __init__(self):
        super().__init__()
        self.names: set[str] = set()
        self.script_words: set[str] = set()

    def handle_starttag(self, tag, attributes):
        """Note a tag with its classes and its id."""
        self.names.add(tag)
        for key, value in attributes:
            if key == "class":
                self.names.update("." + name for name in (value or "").split())
            elif key == "id":
                self.names.add(f"#{value}")

    def add_script(self, text: str) -> None:
        """Note the words of a script's strings: each may become a class, an id or a tag."""
        for string in STRING.findall(text):
            self.script_words.update(WORD.findall(string))

    def allows(self, selector: str) -> bool:
        """Say whether an element that ``selector`` selects can occur."""
        if NEVER.search(selector):
            return False
        plain = IGNORED.sub(" ", without_parentheses(selector))
        return all(
            match["kind"] + match["name"] in self.names or match["name"] in self.script_words
            for match in SIMPLE.finditer(plain)
        )


def without_parentheses(text: str) -> str:
    """Drop what stands in parentheses, nested ones too: ``a:not(.b:is(c))`` becomes ``a:not``."""
    while True:
        shorter = re.sub(r"\([^()]*\)", "", text)
        if shorter == text:
            return text
        text = shorter


def split(text: str, separator: str) -> Iterator[str]:
    """Split at ``separator`` outside of quotes, parentheses and brackets."""
    depth, quote, start = 0, "", 0
    for i, character in enumerate(text):
        if quote:
            if character == quote and text[i - 1] != "\\":
                quote = ""
        elif character in "\"'":
            quote = character
        elif character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == separator and not depth:
            yield text[start:i].strip()
            start = i + 1
    yield text[start:].strip()


def blocks(css: str) -> Iterator[tuple[str, str | None]]:
    """Yield (prelude, content) of each block at the top level, and (statement, None) for ``@import`` and the like."""
    depth, quote, start, prelude = 0, "", 0, ""
    for i, character in enumerate(css):
        if quote:
            if character == quote and css[i - 1] != "\\":
                quote = ""
        elif character in "\"'":
            quote = character
        elif character == "{":
            if not depth:
                prelude, start = css[start:i].strip(), i + 1
            depth += 1
        elif character == "}":
            depth -= 1
            if not depth:
                yield prelude, css[start:i].strip()
                start = i + 1
        elif character == ";" and not depth:
            if css[start:i].strip():
                yield css[start:i].strip(), None
            start = i + 1


def keep_used(css: str, vocabulary: Vocabulary) -> str:
    """Return ``css`` without comments and without the rules that no page can use."""
    kept = []
    for prelude, content in blocks(COMMENT.sub("", css)):
        if content is None or not content:
            continue
        if prelude.startswith(("@media", "@supports", "@layer", "@container")):
            inner = keep_used(content, vocabulary)
            if inner:
                kept.append(f"{prelude}{{{inner}}}")
        elif prelude == "@font-face" and "Awesome" in content:
            continue  # course.css draws the few icons that pages show
        elif prelude.startswith("@"):
            kept.append(f"{prelude}{{{compact(content)}}}")
        else:
            selectors = [selector for selector in split(prelude, ",") if vocabulary.allows(selector)]
            if selectors:
                kept.append(f"{','.join(selectors)}{{{compact(content)}}}")
    return "".join(kept)


def compact(declarations: str) -> str:
    """Return declarations without the white space that means nothing."""
    parts = (re.sub(r"\s+", " ", part) for part in split(declarations, ";"))
    return ";".join(re.sub(r"^([\w-]+)\s*:\s*", r"\1:", part) for part in parts if part)


def drop_unreferenced(css: str) -> str:
    """Return ``css`` without variables, fonts and animations that nothing in it refers to."""
    while True:
        referenced = set(re.findall(r"var\(\s*(--[\w-]+)", css))
        shorter = "".join(_block_without_variables(prelude, content, referenced) for prelude, content in blocks(css))
        if shorter == css:
            break
        css = shorter
    css = "".join(
        ""
        if prelude.startswith("@keyframes") and not re.search(rf"animation[^;}}]*\b{re.escape(prelude[11:])}\b", css)
        else f"{prelude}{{{content}}}"
        if content is not None
        else f"{prelude};"
        for prelude, content in blocks(css)
    )
    declarations = re.sub(r"@font-face\{[^}]*\}", "", css)
    css = re.sub(
        r"@font-face\{[^}]*?font-family:\s*[\"']?([^\"';}]+)[\"']?[^}]*\}",
        lambda face: face[0] if face[1].strip() in declarations else "",
        css,
    )
    return css


def _block_without_variables(prelude: str, content: str | None, referenced: set[str]) -> str:
    """Return one block without the declarations of variables that are not in ``referenced``."""
    if content is None:
        return f"{prelude};"
    if prelude.startswith(("@media", "@supports", "@layer", "@container")):
        inner = "".join(_block_without_variables(p, c, referenced) for p, c in blocks(content))
        return f"{prelude}{{{inner}}}" if inner else ""
    if prelude.startswith("@"):
        return f"{prelude}{{{content}}}"
    kept = [
        declaration
        for declaration in split(content, ";")
        if not declaration.startswith("--") or declaration.split(":")[0].strip() in referenced
    ]
    return f"{prelude}{{{';'.join(kept)}}}" if any(kept) else ""
