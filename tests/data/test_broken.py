"""Broken files over several processes: none sees more than its limit, together they do."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
import torch
from torch import distributed
from cvsegguide.data import DataModule
from cvsegguide.data.dataset import CrossViewDataset
from cvsegguide.data.broken import BrokenFileError
from cvsegguide.data.sample import Sample
from cvsegguide.errors import TrainingError

rank, folder = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)


class Numbers(CrossViewDataset):
    def __init__(self, broken):
        super().__init__()
        self.broken = broken

    def __len__(self):
        return 200

    def __getitem__(self, index):
        if index in self.broken:
            raise BrokenFileError(f"/data/{index}.jpg", "truncated")
        picture = torch.zeros(3, 4, 4)
        return Sample(str(index), picture, picture, None, 1.0, 1.0, 0.0, 360.0, 1.0, None)


for broken in ({10, 31}, {10, 20, 31, 41}):
    data = DataModule(Numbers(broken), batch_size=10, num_workers=0, shuffle=False)
    loader = data.train_dataloader()
    batches = 0
    try:
        for batch in loader:
            batches += 1
        print(f"{batches} batches, {len(loader.broken.samples)} broken")
    except TrainingError as error:
        print(f"{batches} batches, stopped: {error}")
"""


def test_the_limit_is_that_of_the_run(tmp_path: Path) -> None:
    """Even numbers fall to the first process, odd ones to the second: two each are 1 %."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(rank), str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for out, error in outputs:
        first, second = out.splitlines() or [error, ""]
        assert first == "10 batches, 2 broken"
        assert second.startswith("9 batches, stopped: 4 of 200 training samples are broken, more")
        assert all(f"/data/{number}.jpg (truncated)" in second for number in (10, 20, 31, 41))
