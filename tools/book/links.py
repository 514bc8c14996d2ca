#!/usr/bin/env python3
"""Does every link of the book lead somewhere? links.py target/book

Walks the pages as they were built, not the Markdown that they were built from: a file
may be called otherwise there, and a heading's anchor exists only there. What leads to
another host is not followed. Each dead link is a line on stderr.
"""

import os
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

# Shown for whatever address is wrong: its links begin at the root of a site.
ANYWHERE = "404.html"


class Page(HTMLParser):
    """The links of a page, and its anchors."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("href", "src") and value is not None:
                self.links.append(value)
            elif name == "id" or (name == "name" and tag == "a"):
                self.anchors.add(value)


def dead(folder):
    """(the page, its link, what is wrong) of each that leads nowhere; how many were looked at."""
    pages = {}
    for where, _, files in os.walk(folder):
        for file in files:
            if file.endswith(".html"):
                path = os.path.normpath(os.path.join(where, file))
                with open(path, encoding="utf-8") as text:
                    pages[path] = Page(text.read())
    found, looked = [], 0
    for path, page in sorted(pages.items()):
        if os.path.relpath(path, folder) == ANYWHERE:
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            looked += 1
            name, anchor = unquote(parts.path), unquote(parts.fragment)
            target = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
            if name.endswith("/"):
                target = os.path.join(target, "index.html")
            if not os.path.isfile(target):
                found.append((os.path.relpath(path, folder), link, "no such file"))
            elif anchor and target in pages and anchor not in pages[target].anchors:
                found.append((os.path.relpath(path, folder), link, "no such place there"))
    return found, looked


def main(words):
    if len(words) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    found, looked = dead(words[0])
    for page, link, why in found:
        print(f"book: {page}: {link}: {why}", file=sys.stderr)
    if not looked:
        print(f"book: {words[0]}: no page with links there", file=sys.stderr)
    return 1 if found or not looked else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
