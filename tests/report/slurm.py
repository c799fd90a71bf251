#!/usr/bin/env python3
"""docs/batch.slurm on a real Slurm of one node, which is started here and ended again.

munged, slurmctld and slurmd get a directory, a key, a socket and ports of their own, so that a Slurm of
this machine is not touched. Needs root and Debian's munge, slurmctld, slurmd and slurm-client.

Exit status: 0 good, 1 bad, 77 there is no Slurm here, or it cannot be started (the reason is printed).
"""

import argparse
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PROGRAMS = ["munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo"]
CONFIGURATION = """
ClusterName=culprit
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={dir}/munge.socket
CredType=cred/munge
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/spool
SlurmctldPidFile={dir}/slurmctld.pid
SlurmdPidFile={dir}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
MpiDefault=none
ReturnToService=2
PlugStackConfig={dir}/plugstack.conf
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class CannotStart(Exception):
    pass


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Slurm:
    """One node, until the end of the with block."""

    def __init__(self, directory):
        self.dir = directory
        self.children = []
        self.environment = {**os.environ, "SLURM_CONF": str(directory / "slurm.conf")}

    def __enter__(self):
        for name in ("state", "spool"):
            (self.dir / name).mkdir()
        (self.dir / "plugstack.conf").touch()
        host = socket.gethostname().split(".")[0]
        (self.dir / "slurm.conf").write_text(
            CONFIGURATION.format(host=host, dir=self.dir, ports=free_ports(2)))
        key = self.dir / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        try:
            self.start("munged", "--foreground", "--force", f"--key-file={key}",
                       f"--socket={self.dir}/munge.socket", f"--pid-file={self.dir}/munged.pid",
                       f"--seed-file={self.dir}/munge.seed", f"--log-file={self.dir}/munge.log")
            self.wait_for("munged", lambda: (self.dir / "munge.socket").exists())
            self.start("slurmctld", "-D", "-c")
            self.start("slurmd", "-D", "-N", host)
            self.wait_for("the node", lambda: "idle" in self.ask("sinfo", "-h", "-o", "%T"))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for child in reversed(self.children):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
                try:
                    child.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()

    def start(self, *command):
        with open(self.dir / f"{command[0]}.out", "wb") as log:
            self.children.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                                  stderr=subprocess.STDOUT, env=self.environment))

    def ask(self, *command):
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False,
                              env=self.environment).stdout

    def wait_for(self, what, condition, seconds=90):
        deadline = time.monotonic() + seconds
        while not condition():
            ended = [child.args[0] for child in self.children if child.poll() is not None]
            if ended or time.monotonic() > deadline:
                logs = [f"--- {path.name}\n{path.read_text(errors='replace')[-2000:]}"
                        for path in sorted(self.dir.glob("*.out"))]
                raise CannotStart(f"{what} is not there; ended: {ended}\n" + "\n".join(logs))
            time.sleep(0.3)


def run_array(slurm, arguments, work):
    culprit = pathlib.Path(arguments.culprit)
    crashes = work / "crashes.txt"
    crashes.write_text("".join(f"{arguments.program} {cause} {place}\n"
                               for cause in ("stock", "restock") for place in ("first", "last")))
    script = pathlib.Path(__file__).resolve().parents[2] / "docs" / "batch.slurm"
    environment = {**slurm.environment, "PATH": f"{culprit.parent}:{os.environ['PATH']}"}
    submitted = subprocess.run(["sbatch", "--parsable", "--array=1-2", "--cpus-per-task=1", str(script),
                                str(crashes), str(work / "out")], capture_output=True, text=True,
                               timeout=60, check=True, cwd=work, env=environment)
    job = submitted.stdout.strip()
    print(f"job array {job}, 2 tasks")
    slurm.wait_for("the end of the jobs", lambda: slurm.ask("squeue", "-h", "-j", job) == "", 300)
    problems = []
    for task in (1, 2):
        log = work / f"culprit-{job}-{task}.log"
        text = log.read_text() if log.exists() else ""
        print(f"--- {log.name}\n{text}", end="")
        if not text.startswith("2 of 2 cases done: 2 complete\n2 in this run"):
            problems.append(f"task {task} did not do its two cases")
    merged = subprocess.run([culprit, "batch", "-o", work / "out", crashes], capture_output=True,
                            text=True, timeout=60, check=False)
    print(f"--- all parts\n{merged.stdout}", end="")
    if not merged.stdout.startswith("4 of 4 cases done: 4 complete\n0 in this run"):
        problems.append("the parts are not all of the list")
    return problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--culprit", required=True)
    parser.add_argument("--program", required=True)
    arguments = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin"
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        print(f"no Slurm here: {', '.join(missing) or 'not root'}")
        return 77
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        (directory / "slurm").mkdir()
        (directory / "work").mkdir()
        try:
            with Slurm(directory / "slurm") as slurm:
                problems = run_array(slurm, arguments, directory / "work")
        except CannotStart as error:
            print(f"Slurm cannot be started here: {error}")
            return 77
    for problem in problems:
        print(f"error: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
