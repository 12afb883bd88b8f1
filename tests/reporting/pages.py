"""Reads pages: a parser that insists on balanced tags, and a real browser where there is one."""

import copy
import json
import shutil
import subprocess
import tempfile
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

EVIL = '<script>alert("x")</script>'
VOID = {"meta", "link", "img", "br"}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # no network, whatever a page asks for
)
_MEASURE = """
addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, root = page.scrollingElement, width = root.clientWidth;
    page.querySelectorAll("details").forEach(details => details.open = true);
    const out = [...page.body.querySelectorAll("*")].filter(element => !element.closest(".scroll"))
      .filter(element => element.getBoundingClientRect().right > width + 1).map(element => element.tagName);
    const images = [...page.images];
    return {
      scroll: root.scrollWidth, width, out,
      images: images.length, shown: images.filter(image => image.complete && image.naturalWidth > 0).length,
      requests: frame.contentWindow.performance.getEntriesByType("resource").map(entry => entry.name)
        .filter(name => !name.startsWith("data:")),
    };
  });
  document.body.innerHTML = "<pre></pre>";
  document.body.firstChild.textContent = JSON.stringify(found);
});
"""


class Page(HTMLParser):
    """Tags balanced, attributes and text collected."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def leaves(value, path=()):
    """Paths of everything within nested dictionaries and lists."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*path, key)
        yield from leaves(inner, (*path, key))


def damaged(report, change):
    """(path, copy of the report with one thing damaged): "missing", or set to None or NaN.

    Of the entries of a list the last stands for all; numbers alone become NaN; settings and versions are left.
    """
    paths = {tuple(0 if isinstance(key, int) else key for key in path): path for path in leaves(report)}
    for path in paths.values():
        if path[0] in ("settings", "versions") and len(path) > 1:
            continue
        copied = copy.deepcopy(report)
        inner = copied
        for key in path[:-1]:
            inner = inner[key]
        if change == "missing":
            del inner[path[-1]]
        elif change is None or (isinstance(inner[path[-1]], (int, float)) and not isinstance(inner[path[-1]], bool)):
            inner[path[-1]] = change
        else:
            continue
        yield path, copied


def browse(*arguments) -> str:
    """Standard output of a headless browser without network."""
    with tempfile.TemporaryDirectory() as profile:
        command = [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}/profile", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def measure(pages, folder: Path) -> list[dict]:
    """How each (HTML, width in CSS pixels) is laid out, with its details open.

    Each is shown in a frame of a page that may run scripts; its own content security policy holds inside.
    """
    frames = (f'<iframe width="{width}" height="800" srcdoc="{escape(text)}"></iframe>' for text, width in pages)
    wrapper = folder / "wrapper.html"
    style = "<style>iframe { border: 0 }</style>"
    wrapper.write_text(f"<!DOCTYPE html><meta charset=utf-8>{style}<script>{_MEASURE}</script>{''.join(frames)}")
    dom = browse("--virtual-time-budget=20000", "--dump-dom", wrapper.as_uri())
    return json.loads(unescape(dom.rpartition("<pre>")[2].partition("</pre>")[0]))
