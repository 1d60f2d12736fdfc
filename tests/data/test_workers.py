"""Readers are deaf to signals, and end with their process all the same."""

import subprocess

import pytest

from helpers.commands import run_python

PROGRAM = """
import os, signal, sys, time
from torch.utils.data import DataLoader, Dataset
from cvsegguide.data.workers import ignore_signals, iterate

class Numbers(Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, index):
        while {stuck} and index == 2:
            time.sleep(60)
        return index

if __name__ == "__main__":
    loader = DataLoader(
        Numbers(), num_workers=2, worker_init_fn=ignore_signals, persistent_workers=True
    )
    iterator = iterate(loader)
    print(int(next(iterator)), int(next(iterator)), flush=True)
    readers = [reader.pid for reader in iterator._workers]
    for reader in readers:
        os.kill(reader, signal.SIGTERM)
        os.kill(reader, signal.SIGINT)
    if {gone}:
        loader._iterator = None
        del iterator
    else:
        time.sleep(0.3)
        print(*[reader.is_alive() for reader in iterator._workers], flush=True)
    print(*readers, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stuck", "gone"), [(False, False), (True, True)], ids=["idle", "stuck and forgotten"]
)
def test_readers_end_with_their_process(stuck: bool, gone: bool) -> None:
    """Also one that is stuck in a read, for which torch waits and gives up."""
    # torch warns where there are fewer cores than readers
    done = run_python("-W", "ignore", "-c", PROGRAM.format(stuck=stuck, gone=gone))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "0 1"
    if not gone:
        assert lines[1] == "True True"
    for pid in lines[-1].split():
        command = ["ps", "-o", "stat=", "-p", pid]
        shown = subprocess.run(command, capture_output=True, text=True, check=False)
        assert shown.stdout.strip() in ("", "Z"), "a reader is left"
