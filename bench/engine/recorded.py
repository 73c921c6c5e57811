"""The record of a study whose run came to nothing: as it was before the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from bench.files.atomic import new_file
from bench.store.studies import StudyRecord, study_searches
from bench.store.trials import Store


@contextmanager
def no_trace_of_what_never_ran(store: Store, names: Sequence[str]) -> Iterator[None]:
    """Put studies' records back where a block fails before any of their trials has ended.

    A run records its studies before it trains, for `bench status`; a report would show one that
    never ran with nothing in it, or in the place of what ran before.

    Args:
        store: The store.
        names: Names of the studies.
    """
    paths = {name: store.study_path(name) for name in names}
    before = {name: path.read_bytes() for name, path in paths.items() if path.is_file()}
    try:
        yield
    except BaseException:
        for name, path in paths.items():
            record = store.study(name)
            if record is None or _has_begun(store, record):
                continue
            if name in before:
                with new_file(path) as draft:
                    draft.write_bytes(before[name])
            else:
                path.unlink(missing_ok=True)
        raise


def _has_begun(store: Store, study: StudyRecord) -> bool:
    """Whether a trial of a study has ended, however it did."""
    return any(store.has(i) or store.failure_paths(i) for i in study.trial_names()) or any(
        proposal.answered
        for search in study_searches(store.root, study).values()
        for proposal in search.proposals
    )
