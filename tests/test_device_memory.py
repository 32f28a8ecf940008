"""Running out of memory, for real: a process that may not have more."""

import subprocess
import sys

import pytest
import torch

from ray_asng.device_memory import explained_when_out_of_memory

SCRIPT = """
import resource
import torch
from torch import nn
from ray_asng import OneOf, Supernet, tasks
from ray_asng.optimizers.asng import ASNG
from ray_asng.search import Search
from ray_asng.settings import SearchSettings

torch.set_num_threads(1)

class Greedy(nn.Module):
    def __init__(self):
        super().__init__()
        self.choice = OneOf({"a": nn.Linear(64, 10), "b": nn.Linear(64, 10)})

    def forward(self, x):
        torch.ones(len(x), 2 ** 26)
        return self.choice(x.flatten(1))

supernet = Supernet(Greedy())
search = Search(supernet, tasks.digits(), ASNG(supernet.space), SearchSettings(epochs=1, steps_per_epoch=1))
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 2 ** 30, size + 2 ** 30))
search.run_epoch()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of address space work on Linux")
def test_a_search_that_runs_out_of_memory_says_its_peak_and_what_helps():
    error = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False).stderr
    last = error.strip().splitlines()[-1]
    assert last.startswith("MemoryError: out of memory in epoch 1: at most ")
    assert "GiB were in use on the host. Lower batch_size=64, or width or cells" in last
    assert "you tried to allocate" in last


def test_other_errors_pass_as_they_are():
    with (
        pytest.raises(RuntimeError, match="shapes cannot"),
        explained_when_out_of_memory([torch.device("cpu")], "", ""),
    ):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


@pytest.mark.gpu
def test_on_cuda_the_share_of_the_trial_is_named():
    device = torch.device("cuda", 0)
    torch.cuda.set_per_process_memory_fraction(0.1, device)
    total = torch.cuda.get_device_properties(device).total_memory
    with (
        pytest.raises(MemoryError, match=r"in use on cuda:0, of whose .* may take 10% \(memory_fraction\)"),
        explained_when_out_of_memory([device], "in epoch 1", "Lower batch_size"),
    ):
        torch.empty(total // 2, dtype=torch.uint8, device=device)
    torch.cuda.set_per_process_memory_fraction(1.0, device)
