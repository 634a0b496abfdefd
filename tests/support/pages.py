"""Pages of Markdown for tests: which there are, their code blocks, and their links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted({ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md"), *ROOT.glob("kernels/**/*.md")})
FENCE = re.compile(
    r"""(?:<!--\ not\ run:\ (?P<reason>[^\n]+?)\ -->\n)?
    ^(?P<indent>[ ]*)```(?P<language>\w*)(?:[ ]title="(?P<title>[^"]+)")?\n
    (?P<text>.*?)\n?^(?P=indent)```$""",
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)
INDENTED = re.compile(r"(?:^    (?![|*-]).*\n(?:^ *\n(?=    ))?)+", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[[^\]\n]+(?:\n[^\]\n]+)?\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A code block of a page.

    Attributes:
        language: as its fence names it; empty for an indented block.
        text: its lines.
        title: the name of the file that it shows, if any.
        reason: why it is not run, if it is not.
        line: where it begins, from 1.
    """

    language: str
    text: str
    title: str | None
    reason: str | None
    line: int


def name(page: Path) -> str:
    """Return a page's path in the repository."""
    return str(page.relative_to(ROOT))


@cache
def blocks(page: Path) -> tuple[Block, ...]:
    """Return the fenced blocks of a page in order, then its indented ones."""
    text = page.read_text(encoding="utf-8")
    fenced = [
        Block(found["language"], found["text"], found["title"], found["reason"], text.count("\n", 0, found.start()) + 1)
        for found in FENCE.finditer(text)
    ]
    rest = FENCE.sub(lambda found: "\n" * found[0].count("\n"), text)
    indented = [
        Block(
            "",
            re.sub("^    ", "", found[0], flags=re.MULTILINE).strip("\n"),
            None,
            None,
            rest.count("\n", 0, found.start()) + 1,
        )
        for found in INDENTED.finditer(rest)
        if rest[: found.start()].endswith("\n\n")
    ]
    return (*fenced, *indented)


def links(page: Path) -> list[str]:
    """Return where a page's links and pictures lead, those in code left out."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    text = re.sub(r"`[^`\n]+`", "", INDENTED.sub("", text))
    return [link or picture for link, picture in LINK.findall(text)]


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a page's headings, as the site and GitHub make them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    found: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip())
        found.append(slug if slug not in found else f"{slug}_{found.count(slug)}")
    return frozenset(found)


def command_lines(text: str) -> Iterator[str]:
    """Yield the `debate …` commands of a shell block, continued lines joined, comments left out."""
    joined = re.sub(r"<<'(\w+)'\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE).replace("\\\n", " ")
    for line in joined.splitlines():
        found = re.match(r"\s*(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?debate (.+)", line)
        if found:
            yield re.sub(r"\s+#.*$|;.*$", "", found[1]).strip()
