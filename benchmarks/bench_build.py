"""Building color MNIST: biaskit against a per-image PIL loop.

    python benchmarks/bench_build.py [--root DIR] [--images 6000] [--repeats 3]

Without ``--images`` all 70,000 and the 10,000 twins. The build is timed in memory (for biaskit with the check of the
source files, the table, and painting every image once) and with writing it (for biaskit with checksums, preview and
fsync). With ``--images`` only the loop is cut short and its time scaled up; biaskit always builds the whole set.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "baselines"))
import build_pil
from timing import interleaved, machine_line, print_ratio, print_table

import biaskit as bk
from biaskit.disk import save_dataset
from biaskit.images import chunks

TOTAL = 80_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(os.environ.get("BIASKIT_DATA", ".")))
    parser.add_argument("--images", type=int, help="of the loop: the first N of train and N // 6 of test; default: all")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    print(machine_line())
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)

        def ours() -> None:
            # The set paints when it is asked for: building it is done when every image was asked for once.
            for _ in chunks(bk.build("colormnist", root=arguments.root).images):
                pass

        def ours_written() -> None:
            save_dataset(bk.build("colormnist", root=arguments.root), out / "ours")

        def loop() -> None:
            build_pil.build(arguments.root, arguments.images)

        def loop_written() -> None:
            build_pil.save(build_pil.build(arguments.root, arguments.images), out / "loop")

        ours_written()
        arms = {"PIL loop": loop, "biaskit": ours, "PIL loop, written": loop_written, "biaskit, written": ours_written}
        seconds = interleaved(arms, arguments.repeats)
    if arguments.images:
        painted = arguments.images + 2 * (arguments.images // 6)
        print(f"PIL loop: {painted:,} images, times {TOTAL / painted:.2f}")
        seconds = {
            name: [one * TOTAL / painted for one in found] if name.startswith("PIL") else found
            for name, found in seconds.items()
        }
    print_table(seconds, count=TOTAL)
    print_ratio("build in memory: times the loop's rate", seconds, "PIL loop", "biaskit", "at least 20")
    print_ratio("build and write: times the loop's rate", seconds, "PIL loop, written", "biaskit, written")


if __name__ == "__main__":
    main()
