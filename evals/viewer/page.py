"""The viewer's HTML page, around its script and style: served file by file, or everything in one.

Nothing that a run says is markup: its data stand in a JSON element, where no character ends the element, and the script makes
every text a text node. A content security policy lets nothing else run and nothing be fetched.
"""

import base64
import hashlib
import html
import json
from functools import cache
from importlib.resources import files
from typing import Any

SCRIPT, STYLE = "viewer.js", "viewer.css"
POLICY = (
    "default-src 'none'; script-src {script}; style-src {style}; img-src 'self' blob: data:; connect-src {connect}; "
    "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
SERVED_POLICY = POLICY.format(script="'self'", style="'self'", connect="'self'") + "; frame-ancestors 'none'"
NO_SCRIPT = "This page needs JavaScript, which it carries with it. `debate show RUN` prints the debates instead."
SCREEN = (
    '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">'
    '<link rel="icon" href="data:,">'
)


@cache
def static(name: str) -> str:
    """Return the built script or style."""
    return files("evals.viewer").joinpath("static", name).read_text(encoding="utf-8")


def served(title: str) -> str:
    """Return the page whose script and style are files of the server."""
    head = f'<link rel="stylesheet" href="{STYLE}">'
    return _page(title, head, {"mode": "server", "title": title}, f'<script src="{SCRIPT}"></script>')


def whole(title: str, content: dict[str, Any]) -> str:
    """Return the page with everything in it.

    Args:
        title: of the page.
        content: what it shows, as JSON values.
    """
    script, style = static(SCRIPT), static(STYLE)
    policy = POLICY.format(script=_hashed(script), style=_hashed(style), connect="'none'")
    head = f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}"><style>{style}</style>'
    return _page(title, head, {"mode": "file", "title": title, **content}, f"<script>{script}</script>")


def _page(title: str, head: str, content: dict[str, Any], script: str) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title>{SCREEN}"
        f'{head}</head><body><noscript>{html.escape(NO_SCRIPT)}</noscript><div id="app"></div>'
        f'<script type="application/json" id="content">{_json(content)}</script>{script}</body></html>\n'
    )


def _json(content: dict[str, Any]) -> str:
    """Return JSON that no HTML parser takes for anything but text."""
    found = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate, which a model may say, is no UTF-8.
    found = found.encode("utf-8", "replace").decode("utf-8")
    for character in "<>&\u2028\u2029":
        found = found.replace(character, f"\\u{ord(character):04x}")
    return found


def _hashed(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
