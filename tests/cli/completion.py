#!/usr/bin/env python3
"""`culprit completion` in real shells: commands, options, closed lists, files.

bash runs the completion function that the script registers, with the words as readline splits them; fish
is asked with `complete -C`; zsh is typed into on a terminal. What must be offered is read from --help.
"""

import argparse
import os
import pathlib
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

ARGS = None
FORMATS = ["text", "json", "markdown", "html", "sarif", "junit", "github", "github-summary", "gitlab",
           "casrep", "perfetto", "csv"]


def run(*command, **options):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, check=False,
                          stdin=subprocess.DEVNULL, **options)


def commands():
    """As --help lists them."""
    text = run(ARGS.culprit, "--help").stdout
    listed = text.split("Subcommands:\n")[1].split("\n\n")[0]
    return re.findall(r"^  ([a-z]+) ", listed, re.M)


def options(command):
    """Of one command, as its --help lists them at the left."""
    text = run(ARGS.culprit, command, "--help").stdout.split("\nOptions:\n")[1]
    names = set()
    for line in re.findall(r"^  (-\S+)", text, re.M):
        names |= set(line.split(","))
    return names


class Shell:
    """Cases that hold in every shell; offers(line) gives what Tab would offer at its end."""

    falls_back = False

    def test_commands(self):
        self.assertGreater(len(commands()), 8)
        self.assertEqual(self.offers("culprit "), set(commands()))
        self.assertEqual(self.offers("culprit ba"), {"batch"})
        self.assertEqual(self.offers("culprit -q re"), {"record", "report"})

    def test_every_option_of_every_command(self):
        for command in commands():
            wanted = {name for name in options(command) if name.startswith("--")}
            self.assertIn("--help", wanted)
            offered = self.offers(f"culprit {command} --")
            self.assertEqual(offered - {"--quiet", "--verbose", "--version"}, wanted, command)

    def test_closed_lists(self):
        self.assertEqual(self.offers("culprit run --until "), {"any", "signal", "exit", "text"})
        self.assertEqual(self.offers("culprit run --until s"), {"signal"})
        self.assertEqual(self.offers("culprit record --engine "), {"auto", "hardware", "software", "exact"})
        self.assertEqual(self.offers("culprit completion "), {"bash", "zsh", "fish"})
        self.assertEqual(self.offers("culprit report -f "), {"all", *FORMATS})
        self.assertEqual(self.offers("culprit report x.json --format git"), {"github", "github-summary", "gitlab"})
        self.assertEqual(self.offers("culprit ci --format "), set(FORMATS))

    def test_files_and_directories(self):
        self.assertEqual(self.offers("culprit report my-r"), {"my-report.json"})
        self.assertEqual(self.offers("culprit triage my-t"), {"my-trace"})
        # zsh offers files where no directory begins so.
        self.assertIn(self.offers("culprit triage my-r"), (set(), {"my-report.json"} if self.falls_back else set()))
        self.assertEqual(self.offers("culprit report x.json -d my-t"), {"my-trace"})

    def test_the_command_after_the_dashes(self):
        self.assertIn("sleep", self.offers("culprit run -- slee"))
        self.assertNotIn("--retries", self.offers("culprit run -- sleep --re"))


class Bash(Shell, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if shutil.which("bash") is None:
            raise unittest.SkipTest("no bash")

    def offers(self, line):
        # readline splits at COMP_WORDBREAKS, which has the '='.
        words = [word for word in re.split(r"(=)|\s+", line) if word]
        if line[-1:] in " =":
            words.append("")
        script = (f'eval "$({shlex.quote(ARGS.culprit)} completion bash)"\n'
                  f"COMP_WORDS=({shlex.join(words)})\n"
                  f"COMP_CWORD={len(words) - 1}\n"
                  '$(complete -p culprit | sed "s/.*-F \\([^ ]*\\) .*/\\1/") 2>/dev/null\n'
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        result = run("bash", "--norc", "-c", script, cwd=ARGS.directory)
        self.assertEqual(result.stderr, "")
        return set(result.stdout.split("\n")) - {""}

    def test_value_after_an_equals_sign(self):
        self.assertEqual(self.offers("culprit run --until=s"), {"signal"})
        self.assertEqual(self.offers("culprit run --until="), {"any", "signal", "exit", "text"})

    def test_names_with_blanks(self):
        self.assertEqual(self.offers("culprit report with"), {"with blanks.json"})

    def test_typed_into_an_interactive_shell(self):
        with Terminal(["bash", "--norc", "-i"]) as shell:
            shell.type(f'PS1="READY> "; eval "$({shlex.quote(ARGS.culprit)} completion bash)"\n')
            shell.wait_for("\nREADY> ")
            shell.type("culprit comp\t")
            shell.wait_for("culprit completion ")
            shell.type("z\t")
            shell.wait_for("culprit completion zsh")


class Fish(Shell, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if shutil.which("fish") is None:
            raise unittest.SkipTest("no fish")

    def offers(self, line):
        script = (f"{shlex.quote(ARGS.culprit)} completion fish | source\n"
                  f"complete -C {shlex.quote(line)}")
        result = run("fish", "--no-config", "-c", script, cwd=ARGS.directory, env={**os.environ, "HOME": str(ARGS.directory)})
        self.assertEqual(result.stderr, "")
        return {each.split("\t")[0].rstrip("/") for each in result.stdout.splitlines()}


class Zsh(Shell, unittest.TestCase):
    falls_back = True

    @classmethod
    def setUpClass(cls):
        if shutil.which("zsh") is None:
            raise unittest.SkipTest("no zsh")
        cls.home = tempfile.TemporaryDirectory()
        home = pathlib.Path(cls.home.name)
        # What the package puts into $fpath; each match is printed on a line of its own, between marks.
        (home / "_culprit").write_text(run(ARGS.culprit, "completion", "zsh").stdout)
        (home / ".zshrc").write_text(f"""
            fpath=({home} $fpath)
            autoload -U compinit; compinit -u -D
            PS1='READY> '
            unsetopt menu_complete auto_menu; setopt always_last_prompt
            zstyle ':completion:*' list-prompt ''; zstyle ':completion:*' menu no
            LISTMAX=10000
            compadd() {{
              local -a offered
              builtin compadd -O offered "$@"
              (( $#offered )) && print -rl -- "${{offered[@]}}" >> {home}/offered
              builtin compadd "$@"
            }}
        """)

    @classmethod
    def tearDownClass(cls):
        cls.home.cleanup()

    def offers(self, line):
        offered = pathlib.Path(self.home.name) / "offered"
        offered.unlink(missing_ok=True)
        environment = {**os.environ, "ZDOTDIR": self.home.name, "TERM": "dumb"}
        with Terminal(["zsh", "-i"], environment) as shell:
            shell.wait_for("READY> ")
            shell.type(line + "\t")
            time.sleep(0.3)
            # Only when the completion has come back is the line's end acted on.
            shell.type("\x15echo DO''NE\n")
            shell.wait_for("DONE")
        text = offered.read_text() if offered.exists() else ""
        prefix = re.split(r"[\s=]", line)[-1]
        return {match.rstrip("/") for match in text.splitlines() if match.startswith(prefix)}


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, command, environment=None):
        self.leader, follower = pty.openpty()
        self.process = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower,
                                        start_new_session=True, cwd=ARGS.directory,
                                        env={**os.environ, "TERM": "dumb", **(environment or {})})
        os.close(follower)
        self.seen = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.leader)

    def type(self, text):
        os.write(self.leader, text.encode())

    def wait_for(self, text):
        deadline = time.monotonic() + 60
        while text not in self.seen:
            if time.monotonic() > deadline:
                raise AssertionError(f"{text!r} was not shown: {self.seen!r}")
            if select.select([self.leader], [], [], 1)[0]:
                self.seen += os.read(self.leader, 65536).decode(errors="replace")


class Installed(unittest.TestCase):
    def test_scripts_are_where_shells_look_for_them(self):
        if not (ARGS.build / "completions" / "fish").exists():
            self.skipTest("not built: the target culprit-completions")
        prefix = ARGS.directory / "prefix"
        done = run("cmake", "-DCMAKE_INSTALL_LOCAL_ONLY=1", f"-DCMAKE_INSTALL_PREFIX={prefix}", "-P",
                   ARGS.build / "src" / "cli" / "cmake_install.cmake")
        self.assertEqual(done.returncode, 0, done.stderr)
        for shell, path in (("bash", "bash-completion/completions/culprit"),
                            ("zsh", "zsh/site-functions/_culprit"),
                            ("fish", "fish/vendor_completions.d/culprit.fish")):
            self.assertEqual((prefix / "share" / path).read_text(), run(ARGS.culprit, "completion", shell).stdout)

    def test_wrong_shell(self):
        self.assertEqual(run(ARGS.culprit, "completion", "csh").returncode, 2)
        self.assertEqual(run(ARGS.culprit, "completion").returncode, 2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--culprit", required=True)
    parser.add_argument("--build", required=True, type=pathlib.Path)
    ARGS, rest = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as scratch:
        ARGS.directory = pathlib.Path(scratch)
        (ARGS.directory / "my-report.json").touch()
        (ARGS.directory / "with blanks.json").touch()
        (ARGS.directory / "my-trace").mkdir()
        unittest.main(argv=[sys.argv[0], *rest])
