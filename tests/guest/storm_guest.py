#!/usr/bin/python3
"""In the guest: a storm of new code while the attester is killed and stopped again and again.

storm_guest.py ROUNDS allow|refuse
Everything that ran must be in the list, or (allow) be named by a violation; nobody may wait longer than the bound.
"""

import os
import random
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from coverage_guest import hooks, records

RUN = Path("/run/engine")
LOG = Path("/tmp/storm.log")
GATE_LIMIT_MS = 1000
PF_KTHREAD = 0x00200000  # Source: include/linux/sched.h
BOUND_MS = 20_000  # an emulated processor, shared: the gate's limit, a restart, and a queue of storm workers


def show_tasks():
    """Where everybody waits, but for the kernel's own threads."""
    for task in sorted(Path("/proc").glob("[0-9]*/task/*")):
        try:
            stat = (task / "stat").read_text().rpartition(")")
            if not int(stat[2].split()[6]) & PF_KTHREAD:
                print(task, stat[0], stat[2].split()[0], (task / "stack").read_text(), sep="\n", flush=True)
        except OSError:
            continue  # gone, or a thread of the kernel's


class Agent:
    def __init__(self, refuse):
        self.log = open("/tmp/engine.log", "ab")
        command = ["/files/bin/assay-engine", RUN, "--engine", "lsm", "--gate-limit", str(GATE_LIMIT_MS)]
        if os.environ.get("STORM_SWTPM"):
            command += ["--tcti", "swtpm:path=/run/swtpm/socket"]
        # A pipe: with 'refuse' no file can be read while nobody answers.
        self.process = subprocess.Popen(command + (["--refuse"] if refuse else []), stdout=subprocess.PIPE, stderr=self.log)
        ready, _, _ = select.select([self.process.stdout], [], [], 300)
        if not ready or not self.process.stdout.readline().startswith(b"ready"):
            show_tasks()
            sys.exit("the engine did not start:\n" + Path("/tmp/engine.log").read_text()[-3000:])

    def named(self):
        """Waits until the attester has nothing more to say of what ran without it."""
        before = -1
        while before != (before := (RUN / "list/journal").stat().st_size):
            time.sleep(2)

    def signal(self, number):
        self.process.send_signal(number)

    def end(self, number):
        self.signal(number)
        try:
            self.process.wait(120)
        except subprocess.TimeoutExpired:
            show_tasks()
            sys.exit("the engine did not end:\n" + Path("/tmp/engine.log").read_text()[-3000:])
        self.log.write(self.process.stdout.read())
        self.log.close()


def main():
    rounds, refuse = int(sys.argv[1]), sys.argv[2] == "refuse"
    RUN.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "engine", RUN], check=True)
    # What this script itself needs is loaded before.
    subprocess.run(["/files/bin/storm", "/var/tmp/storm", "/dev/null", "0.1", "1"], check=True)
    agent = Agent(refuse)
    storm = subprocess.Popen(["/files/bin/storm", "/var/tmp/storm", LOG, "100000", "2"])
    chance = random.Random(1)
    kills = stops = aborts = 0
    started = time.monotonic()
    for n in range(rounds):
        if n % 10 == 0:
            print(f"round {n} after {time.monotonic() - started:.0f} s", flush=True)
        if n % 2 == 1:
            # The kernel keeps 16384 names of what nobody answered: this storm makes more of them in four rounds. Meanwhile no
            # new ones are made: one emulated processor does all this.
            subprocess.run(["pkill", "-STOP", "-x", "storm"], check=False)
            agent.named()
            subprocess.run(["pkill", "-CONT", "-x", "storm"], check=False)
        time.sleep(chance.uniform(0.02, 0.4))
        if n % 4 == 3:
            agent.signal(signal.SIGSTOP)
            long_stop = n % 8 == 7
            time.sleep(2.5 if long_stop else 0.2)
            agent.signal(signal.SIGCONT)
            stops += 1
            aborts += long_stop
        else:
            agent.end(signal.SIGKILL)
            kills += 1
            time.sleep(chance.uniform(0, 0.2))
            agent = Agent(refuse)
        if agent.process.poll() is not None:
            sys.exit("the engine ended:\n" + Path("/tmp/engine.log").read_text()[-3000:])
    storm.kill()
    subprocess.run(["pkill", "-x", "storm"], check=False)
    storm.wait()
    agent.named()
    agent.end(signal.SIGTERM)
    data = (RUN / "list/list").read_bytes()
    journal = hooks((RUN / "list/journal").read_bytes())
    measured, unanswered, ours = set(), set(), 0
    for place, violation, digest, name in records(data):
        if not violation:
            measured.add(digest)
        elif journal.get(place) == "unanswered":
            unanswered.add(name)
    ran = refused = slowest = missing = late = 0
    unnamed = max([int(n.removeprefix("unnamed:")) for n in unanswered if n.startswith("unnamed:")], default=0)
    for line in LOG.read_text().splitlines():
        what, path, digest, ms = line.split()
        slowest = max(slowest, int(ms))
        if what == "refused":
            refused += 1
            continue
        ran += 1
        if path in unanswered:
            late += 1
        if digest in measured or (not refuse and path in unanswered):
            continue
        missing += 1
        if missing <= 1000:
            print("missing", line)
    print(
        f"{kills} kills, {stops} stops ({aborts} long), {time.monotonic() - started:.0f} s: {ran} ran, {refused} refused, "
        f"{late} named as unanswered, {unnamed} without a name, {missing} missing, slowest {slowest} ms"
    )
    bad = missing or slowest > BOUND_MS or ran < rounds or (not refuse and refused)
    print(Path("/tmp/engine.log").read_text()[-20000 if bad else -600 :])
    if bad:
        subprocess.run(["ls", "-l", RUN / "list"], check=False)
    sys.exit(1 if bad else 0)


main()
