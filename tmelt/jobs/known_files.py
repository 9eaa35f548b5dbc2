"""What Snakemake knows about files while a study runs, looked up once instead of at each re-evaluation of the DAG.

Snakemake remembers existence, time, size and checksum of files while it plans, and forgets them when the first job
starts, because jobs change files. From then on it looks at each file of the DAG again whenever a checkpoint ends, at
each input of each ready job whenever it schedules, and hashes each input for each output. On the shared file system of
a cluster each look costs milliseconds.

In a study only jobs change files, and each job changes its own outputs and logs alone. So what is known stays true,
except for the files of running jobs. These are never remembered.
"""

import functools
from collections.abc import Iterable
from typing import Any

import snakemake.api  # first: the parts of snakemake import one another
from snakemake.dag import DAG
from snakemake.io import IOCache


class Settled(dict[Any, Any]):
    """One fact about each file (existence, for example); nothing is kept about files that are being made."""

    def __init__(self, moving: set[str]):
        super().__init__()
        self.moving = moving

    def __setitem__(self, path: Any, fact: Any) -> None:
        if path not in self.moving:
            super().__setitem__(path, fact)


class KnownFiles(IOCache):
    """Snakemake's cache, which goes on after planning instead of ending there."""

    def __init__(self, max_wait_time: float):
        super().__init__(max_wait_time)
        self.moving: set[str] = set()

    def deactivate(self) -> None:
        """Forget what planning found, and remember only files that no job is making."""
        self.clear()
        self._mtime, self._exists_local, self._size, self._checksum = (Settled(self.moving) for _ in range(4))

    def move(self, paths: Iterable[str]) -> None:
        """Forget these files, and do not look them up for good until they settle."""
        for path in paths:
            self.moving.add(path)
            for facts in (self._mtime, self._exists_local, self._size, self._checksum):
                facts.pop(path, None)

    def settle(self, paths: Iterable[str]) -> None:
        """Remember these files again, as they are from now on."""
        self.moving.difference_update(paths)


def know_files() -> None:
    """Give the run whose Snakefile is being read such a cache. Snakemake makes its own after reading."""
    if snakemake.io.IOCache is KnownFiles:
        return
    snakemake.io.IOCache = KnownFiles
    register_running, finish = DAG.register_running, DAG.finish

    @functools.wraps(register_running)
    def move_and_register(dag: DAG, jobs: Any) -> Any:
        dag.workflow.iocache.move(_files_of(jobs))
        return register_running(dag, jobs)

    @functools.wraps(finish)
    async def settle_and_finish(dag: DAG, job: Any, *arguments: Any, **options: Any) -> Any:
        dag.workflow.iocache.settle(_files_of([job]))
        return await finish(dag, job, *arguments, **options)

    DAG.register_running, DAG.finish = move_and_register, settle_and_finish


def _files_of(jobs: Iterable[Any]) -> list[str]:
    """What jobs or groups of jobs write."""
    single = [one for job in jobs for one in (job if job.is_group() else [job])]
    return [str(path) for job in single for path in [*job.output, *job.log, *filter(None, [job.benchmark])]]
