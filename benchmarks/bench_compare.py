"""Wall time of the embedded comparison, from the shell's point of view.

    python benchmarks/bench_compare.py [--seeds 5] [--repeats 1]

``biaskit compare plain semcont`` on the embedded data, every time with an empty BIASKIT_HOME: nothing is stored.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from timing import interleaved, machine_line, print_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=1)
    arguments = parser.parse_args()
    print(machine_line())

    def compare() -> None:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-c", "from biaskit.cli import main; main()", "compare", "plain", "semcont"]
            command += ["--seeds", str(arguments.seeds), "--out", str(Path(folder) / "out")]
            environment = {**os.environ, "BIASKIT_HOME": str(Path(folder) / "home")}
            subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    name = f"biaskit compare plain semcont --seeds {arguments.seeds}"
    seconds = interleaved({name: compare}, arguments.repeats)
    print_table(seconds)
    print("target: about a minute with 5 seeds on two cores")


if __name__ == "__main__":
    main()
