#!/usr/bin/env python3
"""The diagrams of Markdown reports: read by Mermaid's own parser (npm), and drawn by Mermaid in a
headless Chromium where there is one.

Exit status: 0 good, 1 bad, 77 npm cannot install the parser.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import browser
import npm_packages

HERE = pathlib.Path(__file__).parent


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", required=True, help="the report_samples program")
    parser.add_argument("--golden", required=True, type=pathlib.Path, help="formats/testdata")
    parser.add_argument("--npm", required=True, help="where the npm packages are")
    args = parser.parse_args()
    modules = npm_packages.install(args.npm)
    failures = []
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run([args.samples, "formats", directory], check=True, timeout=60)
        files = sorted(pathlib.Path(directory).glob("*/report.md")) + sorted(args.golden.glob("*/report.md"))
        broken = pathlib.Path(directory) / "broken.md"
        broken.write_text("```mermaid\nflowchart TD\n  h0[\"a\"] --> \"]\n```\n", encoding="utf-8")
        run = subprocess.run(["node", HERE / "mermaid.mjs", modules, *files, broken],
                             capture_output=True, text=True, timeout=200, check=True)
        answers = [json.loads(line) for line in run.stdout.splitlines()]
        if not answers.pop()["error"]:
            failures.append("the parser takes a broken diagram")
        diagrams = 0
        for file, answer in zip(files, answers, strict=True):
            text = file.read_text(encoding="utf-8")
            declared = len(re.findall(r'^  h\d+\["', text, re.MULTILINE))
            diagrams += declared > 0
            if answer["error"] or answer["nodes"] != declared:
                failures.append(f"{file}: {answer['nodes']} of {declared} nodes; {answer['error']}")
        if diagrams < 5:
            failures.append(f"only {diagrams} diagrams")
        drawn = draw(files, modules, failures)
    print(*failures, sep="\n")
    print(f"{diagrams} diagrams parsed, {drawn}, {len(failures)} failures")
    return 1 if failures else 0


def draw(files, modules, failures):
    """Draws each diagram as a tracker does; returns what was done, in words."""
    chromium = browser.find()
    if chromium is None:
        return "none drawn: Chromium is not installed"
    library = (modules / "mermaid" / "dist" / "mermaid.min.js").read_text(encoding="utf-8")
    count = 0
    with browser.Browser(chromium) as tab:
        tab.open("about:blank")
        tab.evaluate(library + "; mermaid.initialize({startOnLoad: false, securityLevel: 'strict'}); 0")
        for file in files:
            block = re.search(r"^```mermaid\n(.*?)^```$", file.read_text(encoding="utf-8"),
                              re.MULTILINE | re.DOTALL)
            if block is None:
                continue
            count += 1
            svg = tab.evaluate(f"mermaid.render('d{count}', {json.dumps(block[1])}).then(x => x.svg)")
            declared = len(re.findall(r'^  h\d+\["', block[1], re.MULTILINE))
            shown = len(re.findall(r'class="node ', svg))
            if shown != declared or "Syntax error" in svg or "<script" in svg:
                failures.append(f"{file}: {shown} of {declared} nodes were drawn")
    return f"{count} drawn"


if __name__ == "__main__":
    sys.exit(main())
