"""``bk.score`` on ten million predictions against a bare pandas groupby over the same file.

    python benchmarks/bench_score.py [--rows 10000000] [--repeats 5] [--columns numbers|text|mixed]

The table has ten labels and two values of an attribute: 20 groups. The baseline reads the three columns into pandas and
counts rows and right answers per group, which is all it does; biaskit gives every table of a score, intervals and tests
included. Both take turns; the goal is a ratio of at most 2. Below stands the memory that each takes, in processes of
their own, on the whole file and on a tenth of it. Columns hold numbers, text, or numbers and a text for the attribute.
The file is written to a temporary folder.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from timing import interleaved, machine_line, print_ratio, print_table

import biaskit as bk

#: What a process of its own does with a file.
ARMS = {
    "bk.score": "bk.score(sys.argv[1], attributes=['sex'])",
    "pandas groupby": "t = pd.read_parquet(sys.argv[1]); (t.label == t.prediction).groupby([t.label, t.sex]).mean()",
}
#: Importing torch takes more for a moment than all that follows: what is resident is looked at every few milliseconds.
PEAK = """
import sys, threading, time
import pandas as pd
import biaskit as bk
bk.score

def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024

def watch():
    while True:
        seen.append(resident())
        time.sleep(0.005)

seen = [resident()]
threading.Thread(target=watch, daemon=True).start()
{}
print(round(max(seen) - seen[0]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--columns", choices=("numbers", "text", "mixed"), default="numbers")
    arguments = parser.parse_args()
    print(machine_line())

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{rows}.parquet" for rows in (arguments.rows, arguments.rows // 10)]
        for path in paths:
            predictions(int(path.stem), arguments.columns).to_parquet(path, index=False)

        def bare() -> pd.DataFrame:
            table = pd.read_parquet(paths[0], columns=["label", "sex", "prediction"])
            table["correct"] = table["label"] == table["prediction"]
            return table.groupby(["label", "sex"], observed=True)["correct"].agg(["size", "mean"])

        def ours() -> pd.DataFrame:
            return bk.score(paths[0], attributes=["sex"])["groups"]

        expected, found = bare(), ours().set_index(["label", "sex"])
        expected.index = expected.index.map(lambda one: (str(one[0]), str(one[1])))
        assert found["n"].to_dict() == expected["size"].to_dict()
        seconds = interleaved({"pandas groupby": bare, "bk.score": ours}, arguments.repeats)
        print_table(seconds, count=arguments.rows, unit="rows")
        print_ratio("bk.score: times a bare groupby", seconds, "bk.score", "pandas groupby", "at most 2")
        if Path("/proc/self/status").is_file():
            print("MB beyond the imports, rows: " + "".join(f"{int(path.stem):>12,}" for path in paths))
            for name, code in ARMS.items():
                print(f"{name:<28}" + "".join(f"{peak(code, path):>12,}" for path in paths))


def predictions(rows: int, columns: str) -> pd.DataFrame:
    """A table of answers that are right in 90 of 100 rows."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 10, rows)
    answer = np.where(rng.random(rows) < 0.9, label, rng.integers(0, 10, rows))
    sex = rng.integers(0, 2, rows)
    table = pd.DataFrame({"label": label, "prediction": answer, "sex": sex})
    if columns == "text":
        table = table.astype(str)
    return table if columns == "numbers" else table.assign(sex=np.array(["female", "male"])[sex])


def peak(code: str, path: Path) -> int:
    """Resident memory in MB that some code takes on a file, at most, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK.format(code), str(path)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


if __name__ == "__main__":
    main()
