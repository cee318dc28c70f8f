"""suites/slurm/array.sh on a real Slurm of one node, started here from Debian's packages (munge, slurmctld, slurmd,
slurm-client) without systemd. Skipped, saying so, where it cannot be."""

import getpass
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time

import h5py
import pytest

from conftest import missing

SOURCE = pathlib.Path(__file__).resolve().parents[2]
NEEDED = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")

SUITE = """\
suite: five
measure: {min_samples: 3, max_samples: 3, max_seconds: 2, settle_seconds: 0}
cases:
  - op: dequant
    shapes: [[16, 64], [3, 33], [1, 5], [8, 96], [2, 65]]
    regime: cold
    variants: ["nf4_dequant_bf16__scalar*"]
"""

CONFIG = """\
ClusterName=test
SlurmctldHost={host}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort={controller}
SlurmdPort={node}
ReturnToService=2
MpiDefault=none
NodeName={host} CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_port():
    with socket.socket() as s:
        s.bind(("", 0))
        return s.getsockname()[1]


def program(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def wait_for(what, limit_s):
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.2)
    return False


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Environment for Slurm's commands; the daemons end with the module."""
    absent = [name for name in NEEDED if not program(name)]
    if absent or getpass.getuser() != "root":
        missing(f"no Slurm can be started here: {', '.join(absent) or 'not root'}")
    folder = tmp_path_factory.mktemp("slurm")
    for part in ("state", "spool"):
        (folder / part).mkdir()
    # munged wants every folder above its socket to be safe.
    for above in (folder, *folder.parents):
        if above.stat().st_mode & 0o022 and not above.stat().st_mode & 0o1000:
            missing(f"no Slurm can be started here: munge does not trust {above}")
    host = socket.gethostname().split(".")[0]
    config = folder / "slurm.conf"
    config.write_text(CONFIG.format(host=host, folder=folder, cpus=os.cpu_count(), controller=free_port(),
                                    node=free_port()))
    env = dict(os.environ, SLURM_CONF=str(config), PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")
    subprocess.run([program("mungekey"), "--create", f"--keyfile={folder}/key"], check=True)
    daemons, log = [], open(folder / "daemons.log", "w")

    def start(*command):
        daemons.append(subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True))

    try:
        start(program("munged"), "--foreground", "--force", f"--key-file={folder}/key", f"--socket={folder}/munge.socket",
              f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/seed")
        assert wait_for((folder / "munge.socket").exists, 20)
        start(program("slurmctld"), "-D", "-f", str(config))
        start(program("slurmd"), "-D", "-f", str(config), "-N", host)

        def idle():
            said = subprocess.run(["sinfo", "-h", "-o", "%T"], env=env, capture_output=True, text=True)
            return said.stdout.strip() in ("idle", "mixed")

        if not wait_for(idle, 60):
            logs = "".join((folder / f).read_text()[-1500:] for f in ("daemons.log", "slurmctld.log", "slurmd.log")
                           if (folder / f).exists())
            missing(f"Slurm's daemons do not come up here: {logs}")
        yield env
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
        log.close()


def test_an_array_makes_the_whole(nf4bench, slurm, suite, tmp_path):
    path, out = suite(SUITE), tmp_path / "out"
    env = dict(slurm, NF4BENCH=nf4bench.path)

    def submit(array):
        said = subprocess.run(
            ["sbatch", f"--array={array}", f"--output={tmp_path}/%A-%a.log", SOURCE / "suites/slurm/array.sh", path, out],
            env=env, capture_output=True, text=True,
        )
        assert said.returncode == 0, said.stderr
        job = re.search(r"batch job (\d+)", said.stdout)[1]

        def done():
            left = subprocess.run(["squeue", "-h", "-j", job], env=env, capture_output=True, text=True)
            return left.returncode != 0 or not left.stdout.strip()

        assert wait_for(done, 120), subprocess.run(["squeue"], env=env, capture_output=True, text=True).stdout

    def logs():
        return "".join(f.read_text() for f in sorted(tmp_path.glob("*.log")))

    submit("1-4")
    files = sorted(out.glob("*.h5"))
    assert [f.name for f in files] == [f"shard-{i}-of-4.h5" for i in range(1, 5)], logs()
    merged, whole = tmp_path / "merged.h5", tmp_path / "whole.h5"
    nf4bench("merge", *files, "-o", merged)
    nf4bench("run", path, "-o", whole)

    def cases(file):
        with h5py.File(file) as f:
            return sorted((r["group_id"], r["case_key"], r["variant"]) for r in f["results"][...])

    assert cases(merged) == cases(whole)
    # A second submission, from another first number, finds all done.
    submit("3-6")
    assert logs().count("is complete") == 4
