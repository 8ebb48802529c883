"""`python -m tests.fuzz`: bad input, for as long as you like; each target in a process of its own."""

import multiprocessing
import os
import shutil
import sys
import tempfile
from pathlib import Path

import click

TARGETS = (
    *("zips", "weights", "snapshots", "records", "videos", "images", "arrays", "hdf5", "statistics", "configurations"),
)
STUCK = 300
"""Seconds after its time before a target counts as stuck."""


@click.command()
@click.option("--target", "targets", type=click.Choice(TARGETS), multiple=True, help="Repeatable.  [default: all]")
@click.option("--seconds", default=600.0, show_default=True, help="All targets together.")
@click.option("--seed", default=0, show_default=True, help="Of the first round.")
def main(targets: tuple[str, ...], seconds: float, seed: int) -> None:
    """Feed damaged, forged and hostile files to whatever reads files; exit code 1 where a promise was broken."""
    chosen, failed = targets or TARGETS, False
    for name in chosen:
        process = multiprocessing.get_context("fork").Process(target=work, args=(name, seconds / len(chosen), seed))
        process.start()
        process.join(seconds / len(chosen) + STUCK)
        if process.is_alive():
            process.kill()
            click.echo(f"{name}: stuck")
            failed = True
        elif process.exitcode:
            click.echo(f"{name}: ended with {process.exitcode}")
            failed = True
    sys.exit(failed)


def work(name: str, seconds: float, seed: int) -> None:
    """Fuzz one target in this process."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["VIDBENCH_CACHE"] = cache
        # imported here, since the libraries read their environment when they are imported
        from tests.fuzz import fuzz_documents, fuzz_files, fuzz_records, fuzz_snapshots, fuzz_weights, fuzz_zips
        from tests.fuzz.fuzz_driver import drive

        single = {"zips": fuzz_zips, "weights": fuzz_weights, "snapshots": fuzz_snapshots, "records": fuzz_records}
        several = fuzz_files.targets if name in ("videos", "images", "arrays", "hdf5") else fuzz_documents.targets
        target = single[name].target() if name in single else several()[name]
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        folder.joinpath("in").mkdir()
        count, broken = drive(name, target, folder / "in", seconds, seed)
    if not broken:
        shutil.rmtree(folder)
    click.echo(f"{name}: {count:,} examples in {seconds:.0f} s, {len(broken)} broken promises")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
