#!/usr/bin/env python3
"""action.yml and docs/gitlab-ci.yml against the schemas of GitHub and GitLab, their scripts under
shellcheck (where it is installed) and in action: a stand-in for the runner executes the action's step.

Exit status: 0 good, 1 bad, 77 npm cannot install the validators.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap

import npm_packages

HERE = pathlib.Path(__file__).parent
TOP = HERE.parent.parent


def action_is_good(modules, path):
    run = subprocess.run([modules / ".bin" / "action-validator", path], capture_output=True, text=True,
                         timeout=60, check=False)
    return run.returncode == 0 and '"errors"' not in run.stdout


def gitlab_says(modules, path):
    return subprocess.run(["node", HERE / "ci_files.mjs", modules, path], capture_output=True, text=True,
                          timeout=60, check=True).stdout.strip()


def step_script():
    """The shell script of the action's first step."""
    text = (TOP / "action.yml").read_text(encoding="utf-8")
    return textwrap.dedent(re.search(r"      run: \|\n(.*?)\n    - if:", text, re.DOTALL)[1]) + "\n"


def run_step(culprit, command, with_culprit=True):
    """Exit code, and what the step wrote to $GITHUB_OUTPUT."""
    with tempfile.TemporaryDirectory() as scratch:
        output = pathlib.Path(scratch) / "output"
        path = os.environ["PATH"]
        if with_culprit:
            path = f"{pathlib.Path(culprit).parent}:{path}"
        run = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", step_script()], cwd=scratch, timeout=200, check=False,
            capture_output=True, text=True,
            env={**os.environ, "PATH": path, "GITHUB_OUTPUT": str(output), "GITHUB_WORKSPACE": scratch,
                 "CULPRIT_COMMAND": command, "CULPRIT_OUTPUT_DIR": "out dir", "CULPRIT_RETRIES": "1",
                 "CULPRIT_FORMATS": "markdown sarif", "CULPRIT_TIME_LIMIT": "60"})
        files = sorted(file.name for file in (pathlib.Path(scratch) / "out dir").glob("*"))
        return run.returncode, output.read_text() if output.exists() else "", files, run.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--culprit", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--npm", required=True, help="where the npm packages are")
    args = parser.parse_args()
    modules = npm_packages.install(args.npm)
    failures = []

    def expect(condition, message):
        if not condition:
            failures.append(message)

    with tempfile.TemporaryDirectory() as scratch:
        def changed(path, old, new):
            text = path.read_text(encoding="utf-8")
            assert old in text
            copy = pathlib.Path(scratch) / path.name
            copy.write_text(text.replace(old, new), encoding="utf-8")
            return copy

        action, gitlab = TOP / "action.yml", TOP / "docs" / "gitlab-ci.yml"
        expect(action_is_good(modules, action), "action.yml is not valid")
        expect(not action_is_good(modules, changed(action, "using: composite", "using: nonsense")),
               "the validator of actions finds nothing")
        expect(gitlab_says(modules, gitlab) == "good", gitlab_says(modules, gitlab))
        broken = changed(gitlab, "when: on_failure", "when: sometimes")
        expect(gitlab_says(modules, broken) != "good", "the schema of GitLab finds nothing")
        if shutil.which("shellcheck"):
            script = pathlib.Path(scratch) / "step.sh"
            script.write_text("#!/bin/bash\n" + step_script(), encoding="utf-8")
            check = subprocess.run(["shellcheck", script], capture_output=True, text=True, timeout=60,
                                   check=False)
            expect(check.returncode == 0, check.stdout)

    expect(run_step(args.culprit, "echo fine")[:3] == (0, "", []), "a passing command")
    expect(run_step(args.culprit, "exit 9", with_culprit=False)[:3] == (9, "", []), "without culprit")
    code, output, files, _ = run_step(args.culprit, f"{args.program} stock first")
    if "cannot_record" not in output:
        expect((code, output) == (139, "outcome=triaged\n"), f"a crash: {code} {output}")
        expect(files == ["ci.json", "report.json", "report.md", "report.sarif"], f"a crash: {files}")
    # What looks like shell in an input stays data of the command, and never of the step.
    code, output, _, _ = run_step(args.culprit, "echo '$(touch owned)'; exit 4")
    expect(code == 4, f"quotes in the command: {code}")
    print(*failures, sep="\n")
    print(f"{len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
