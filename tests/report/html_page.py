#!/usr/bin/env python3
"""The HTML page in a headless Chromium: quiet, self-contained, inert, readable, usable by keyboard.

  html_page.py --samples report_samples [--screenshots DIR]

With --screenshots the pages are photographed, light and dark, wide and narrow, for a person to look at.

Exit status: 0 good, 1 bad, 77 Chromium is not installed.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import browser

# Everything that the page may consist of; an attack that became markup would show here.
COUNT = """(() => {
  const all = [...document.querySelectorAll('*')];
  return {
    scripts: document.scripts.length,
    styles: document.querySelectorAll('style, link[rel~=stylesheet]').length,
    foreign: all.filter(e => ['IFRAME', 'OBJECT', 'EMBED', 'IMG', 'FORM', 'BASE', 'VIDEO', 'AUDIO']
                              .includes(e.tagName.toUpperCase())).length,
    handlers: all.filter(e => [...e.attributes].some(a => a.name.startsWith('on'))).length,
    links: [...document.links].map(a => a.getAttribute('href'))
             .concat([...document.querySelectorAll('svg a')].map(a => a.getAttribute('href')))
             .filter(href => !href.startsWith('#')),
    hops: document.querySelectorAll('.hop').length,
    picture: document.querySelectorAll('.picture .node').length,
    marked: document.querySelectorAll('.src .row.hit').length,
    overflow: document.documentElement.scrollWidth - innerWidth,
  };
})()"""

# The contrast (WCAG 2) of each visible text with the nearest background; the lowest ones.
CONTRAST = """(() => {
  const parse = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
  const luminance = (c) => c.slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
      .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || (c.length > 3 && c[3] === 1)) return c;
    }
    return [255, 255, 255];
  };
  let worst = [99, ''];
  for (const e of document.querySelectorAll('main *')) {
    if (e.closest('svg') || e.closest('.skip') || !e.checkVisibility()) continue;
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const [a, b] = [luminance(parse(getComputedStyle(e).color)), luminance(ground(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < worst[0]) worst = [ratio, e.outerHTML.slice(0, 80)];
  }
  return worst;
})()"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", required=True, help="the report_samples program")
    parser.add_argument("--screenshots", type=pathlib.Path)
    args = parser.parse_args()
    chromium = browser.find()
    if chromium is None:
        print("SKIPPED: Chromium is not installed (apt install chromium)")
        return 77
    failures = []

    def expect(condition, message):
        if not condition:
            failures.append(message)

    with tempfile.TemporaryDirectory() as directory, browser.Browser(chromium) as tab:
        subprocess.run([args.samples, "formats", directory], check=True, timeout=60)
        for name, hops in (("full", 3), ("minimal", 0), ("long", 21), ("hostile", 1000)):
            page = pathlib.Path(directory) / name / "report.html"
            tab.resize(1280, 900)
            tab.scheme("light")
            tab.open(page.as_uri())
            expect(not tab.complaints(), f"{name}: {tab.complaints()}")
            loaded = [url for url in tab.requests() if url != page.as_uri() and url != "data:,"]
            expect(not loaded, f"{name} loads {loaded}")
            seen = tab.evaluate(COUNT)
            expect(seen["scripts"] == 1 and seen["styles"] == 1, f"{name}: {seen}")
            expect(seen["foreign"] == 0 and seen["handlers"] == 0, f"{name}: {seen}")
            expect(not seen["links"], f"{name} links to {seen['links'][:3]}")
            expect(seen["hops"] == hops, f"{name}: {seen['hops']} hops")
            expect(seen["picture"] == min(hops, 120), f"{name}: {seen['picture']} hops in the picture")
            if name != "minimal":
                expect(seen["marked"] >= min(hops, 3), f"{name}: {seen['marked']} lines marked")
            expect(seen["overflow"] <= 0, f"{name}: {seen['overflow']} px too wide at 1280")
            if name == "long":
                light = tab.evaluate(CONTRAST)
                expect(light[0] >= 4.5, f"light: contrast {light}")
                keyboard(tab, expect)
                policy(tab, expect)
            photograph(args, tab, f"{name}-light")
            tab.scheme("dark")
            if name == "long":
                dark = tab.evaluate(CONTRAST)
                expect(dark[0] >= 4.5, f"dark: contrast {dark}")
                ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
                expect(ground != "rgb(255, 255, 255)", "dark: the page stays white")
            photograph(args, tab, f"{name}-dark")
            tab.resize(420, 900)
            seen = tab.evaluate(COUNT)
            expect(seen["overflow"] <= 0, f"{name}: {seen['overflow']} px too wide at 420")
            photograph(args, tab, f"{name}-narrow")
    print(*failures, sep="\n")
    print(f"{len(failures)} failures")
    return 1 if failures else 0


def keyboard(tab, expect):
    focus = "document.activeElement.id || document.activeElement.className"
    tab.press("Tab")
    expect(tab.evaluate(focus) == "skip", "the first Tab does not reach the skip link")
    tab.evaluate("document.activeElement.blur()")
    tab.press("j")
    expect(tab.evaluate(focus) == "hop-0", f"j goes to {tab.evaluate(focus)}")
    tab.press("j")
    tab.press("j")
    tab.press("k")
    expect(tab.evaluate(focus) == "hop-1", f"j j k goes to {tab.evaluate(focus)}")
    here = "document.querySelectorAll('.rail .here').length"
    expect(tab.evaluate(here) == 1, "the list does not mark the hop")
    opened = "document.activeElement.querySelectorAll('details[open]').length"
    tab.press("o")
    expect(tab.evaluate(opened) == 2, f"o opens {tab.evaluate(opened)}")
    tab.press("o")
    expect(tab.evaluate(opened) == 0, "o does not close")
    tab.evaluate("document.getElementById('theme').click()")
    expect(tab.evaluate("document.documentElement.dataset.theme") == "dark", "the button does nothing")
    tab.evaluate("delete document.documentElement.dataset.theme; scrollTo(0, 0)")


def policy(tab, expect):
    """What the Content-Security-Policy is for: even markup that got in would not run."""
    before = len(tab.complaints())
    tab.evaluate("""(() => {
      const script = document.createElement('script');
      script.textContent = 'window.owned = 1';
      document.body.append(script);
      document.body.insertAdjacentHTML('beforeend', '<a id=x onclick="window.owned = 2">x</a>');
      document.getElementById('x').click();
      document.getElementById('x').remove();
      script.remove();
    })()""")
    expect(tab.evaluate("window.owned") is None, "an injected script runs")
    tab.evaluate("fetch('https://example.invalid/').catch(() => 0)")
    tab.evaluate("new Promise(done => setTimeout(done, 50))")
    expect(len(tab.complaints()) > before, "the policy is not reported as broken")


def photograph(args, tab, name):
    if args.screenshots:
        args.screenshots.mkdir(parents=True, exist_ok=True)
        tab.screenshot(args.screenshots / f"{name}.png")


if __name__ == "__main__":
    sys.exit(main())
