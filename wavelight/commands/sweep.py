"""``wavelight sweep``: variants of a system with several seeds, trained and compared."""

import shlex
import sys
from pathlib import Path
from typing import Any

from wavelight.commands.compare import compare
from wavelight.support.errors import in_words
from wavelight.support.progress import tell
from wavelight.training.known_options import known_imports
from wavelight.training.sweep_file import SweepFile, check_folder, read_sweep, runs_of
from wavelight.training.sweep_processes import train_runs


def sweep(
    path: Path,
    seeds: list[int] | None = None,
    variants: list[str] | None = None,
    folder: Path | None = None,
    options: dict[str, Any] | None = None,
    jobs: int = 1,
    dry_run: bool = False,
    trust_code: bool = False,
) -> str | None:
    """Train variants of a system with several seeds, and compare them: ablations with 95 % intervals.

    Every run is a process of its own, which prints into log.txt in its folder. The same command
    again goes on where it was stopped, by Ctrl-C, say: finished runs stay, others continue from
    their last checkpoint. All options are checked before the first run starts. When all runs are
    there it prints the table of `wavelight compare`.

    Args:
        path: A file of variants, such as experiments/sweeps/cifar10_small_hybrid.yaml. It names the `folder` of
            the runs, the `seeds`, the options of `fit` that all share as `base`, the `variants`,
            each with the options in which it differs, and the options of `compare`.
        seeds: Seeds in place of the file's, like [1,2,3].
        variants: Names of the file's variants that are trained and compared, like [wsgm,sgm]; by default all are.
        folder: A folder in place of the file's.
        options: Options of `fit` that all variants get, in place of those of the same name in the file's `base`. So a
            sweep compares its systems on images of yours, with a folder of their own:
            --options '{data.source: Shards, data.source.path: data/photos}'.
        jobs: How many runs train at a time, on the same machine; they share its cores.
        dry_run: Whether nothing is run, and the commands of unfinished runs are printed, a line each: as
            jobs for a cluster, after which this command compares.
        trust_code: Whether the file may name any class, and so run code of its own.

    Raises:
        ValueError: If the file or an option makes no sense, or if a run in the folder was trained
            with other options.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    file = read_sweep(path, trust_code, folder, options)
    runs = runs_of(file, file.seeds if seeds is None else seeds, trust_code, variants)
    comparison = _comparison(file, trust_code)
    check_folder(runs)
    left = [run for run in runs if not run.finished]
    for run in runs:
        if run not in left:
            tell(f"{run}: finished before")
    if dry_run:
        return "\n".join(shlex.join(["python", *run.command]) for run in left) or None
    failed = train_runs(left, jobs)
    if failed:
        logs = ", ".join(f"{run} ({run.log})" for run in failed)
        sys.stderr.write(f"wavelight: {len(failed)} of {len(runs)} runs failed: {logs}\n")
        sys.exit(1)
    return compare([run.checkpoint for run in runs], **comparison)


def _comparison(file: SweepFile, trust_code: bool) -> dict[str, Any]:
    """Return the options of the comparison, checked."""
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_function_arguments(compare, "compare", skip={"checkpoints", "trust_code"})
    try:
        with known_imports(trust_code):
            parsed = parser.parse_object({"compare": file.compare})
        options: dict[str, Any] = parser.instantiate(parsed).compare.as_dict()
    except (ArgumentError, ValueError) as error:
        raise ValueError(f"compare: {in_words(str(error))}") from error
    places = {name: file.folder / options[name] for name in ("out", "plot") if options[name]}
    return {**options, **places, **({"trust_code": True} if trust_code else {})}
