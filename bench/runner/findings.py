"""What was found out about the figures: the sections of
bench/results/FINDINGS.md, as HTML. A section whose heading begins with a
target's name, as in bench/targets.toml, explains that target:

    ## S2-floor: where the rest goes

Of Markdown it knows what a finding needs: paragraphs, lists with "- ", blocks
indented by four spaces or a tab, and `code`.
"""

import html
import pathlib
import re

PRE, PRE_END = '<pre class="wide">', "</pre>"
FILE = pathlib.Path(__file__).resolve().parents[1] / "results/FINDINGS.md"


def read(file=FILE):
    """[(heading, text)]; nothing without the file."""
    if not file.exists():
        return []
    sections = re.split(r"^## +", file.read_text(), flags=re.M)[1:]
    return [(heading.strip(), text) for heading, _, text in
            (section.partition("\n") for section in sections)]


def anchor(heading):
    return "finding-" + re.match(r"[\w-]*", heading)[0]


def inline(words):
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(words))


def block(text):
    if re.match(r" {4}|\t", text):
        return PRE + html.escape(text) + PRE_END
    if text.startswith("- "):
        rows = re.split(r"\n- ", text[2:])
        return "<ul>" + "".join(f"<li>{inline(row)}</li>"
                                for row in rows) + "</ul>"
    return f"<p>{inline(text)}</p>"


def render(sections):
    out = []
    for heading, text in sections:
        out.append(f'<h3 id="{anchor(heading)}">{inline(heading)}</h3>')
        out += [block(piece.rstrip()) for piece in
                re.split(r"\n(?:[ \t]*\n)+", text.strip("\n")) if piece.strip()]
    return "".join(out).replace(f"{PRE_END}{PRE}", "\n\n")
