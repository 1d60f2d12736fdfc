"""Print where a network's time goes on a GPU: the longest kernels of a batch in bf16."""

import argparse

import torch
from torch.profiler import ProfilerActivity, profile

from cvsegguide.benchmark.networks import build, pairs
from cvsegguide.inference.acceleration import Recorded


def main() -> int:
    """One table for each network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=["geometric", "mst", "featup"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rows", type=int, default=18)
    arguments = parser.parse_args()
    for name in arguments.networks:
        model = build(name).cuda().to(memory_format=torch.channels_last)
        inputs = [image.cuda() for image in pairs(model, arguments.batch)]
        run = Recorded(model, torch.bfloat16)._run
        with torch.inference_mode():
            run(*inputs)
            run(*inputs)
            torch.cuda.synchronize()
            with profile(activities=[ProfilerActivity.CUDA]) as found:
                run(*inputs)
                torch.cuda.synchronize()
        events = sorted(found.key_averages(), key=lambda event: -event.self_device_time_total)
        total = sum(event.self_device_time_total for event in events)
        print(f"{name}: {total / 1000:.2f} ms of kernels for {arguments.batch} pairs")
        for event in events[: arguments.rows]:
            spent = event.self_device_time_total
            times = f"{spent / total:6.1%} {spent / 1000:7.3f} ms {event.count:4d} x"
            print(f"  {times} {event.key[:110]}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
