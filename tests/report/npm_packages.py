"""The npm packages that validate formats (npm/package.json), installed once into the build directory."""

import pathlib
import shutil
import subprocess
import sys

SKIP = 77


def skip(reason):
    print("SKIPPED:", reason)
    sys.exit(SKIP)


def install(directory):
    """Installs the packages below `directory` unless they are there; returns node_modules. Leaves with
    SKIP where that is not possible. No script of a package is run."""
    directory = pathlib.Path(directory)
    wanted = (pathlib.Path(__file__).parent / "npm" / "package.json").read_text(encoding="utf-8")
    marker = directory / "installed.json"
    modules = directory / "node_modules"
    if marker.exists() and marker.read_text(encoding="utf-8") == wanted:
        return modules
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            skip(f"{tool} is not installed")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "package.json").write_text(wanted, encoding="utf-8")
    try:
        result = subprocess.run(
            ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock",
             "--fetch-timeout=60000", "--fetch-retries=1"],
            cwd=directory, capture_output=True, text=True, timeout=400, check=False)
    except subprocess.TimeoutExpired:
        skip("npm did not end")
    if result.returncode != 0:
        skip("npm cannot install: " + result.stderr.strip().splitlines()[-1][:200])
    marker.write_text(wanted, encoding="utf-8")
    return modules
