"""An arm's search while it runs: proposals come in, trials go out, scores come back. Light."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from bench.store.plan import PlannedTrial
from bench.store.searches import Proposal, mean_score

if TYPE_CHECKING:
    from bench.tuning.oracle import ArmSearch


class RunningSearch:
    """An arm's search while it runs.

    Args:
        search: The search; what it proposed before and is not answered comes first.

    Attributes:
        waiting: Number of a proposal that waits for trials -> scores of those that ended.
        queue: Trials to hand out.
    """

    def __init__(self, search: ArmSearch) -> None:
        self.search = search
        self.waiting: dict[int, dict[str, float | None]] = {}
        self.queue: deque[PlannedTrial] = deque()
        for proposal in search.pending():
            self._take(proposal)

    @property
    def turn(self) -> tuple[bool, int, int]:
        """Sorts arms: first those with a trial ready, then those that wait for the least."""
        return not self.queue, len(self.waiting), len(self.search.search.proposals)

    def next_trial(self, most: int) -> PlannedTrial | None:
        """A trial of a proposal; None where there is none before another ends.

        Args:
            most: Most proposals to wait for at the same time.
        """
        while not self.queue:
            if len(self.waiting) >= most:
                return None
            proposal = self.search.ask()
            if proposal is None:
                return None
            if proposal.trials:
                self._take(proposal)
        return self.queue.popleft()

    def _take(self, proposal: Proposal) -> None:
        plan = self.search.plan
        specs = plan.trials(proposal.values, proposal.epochs)
        for identity, spec in zip(proposal.trials, specs, strict=True):
            name = f"{plan.arm}, proposal {proposal.number + 1}"
            self.queue.append(PlannedTrial(identity, name, spec.seed, spec, stored=False))
        self.waiting[proposal.number] = {}

    def waits_for(self, identity: str) -> list[int]:
        """Numbers of the proposals that wait for a trial."""
        proposals = self.search.search.proposals
        return [number for number in self.waiting if identity in proposals[number].trials]

    def answer(self, identity: str, score: float | None, error: str | None) -> None:
        """Count in a trial's score, wherever a proposal waits for it."""
        for number in self.waits_for(identity):
            proposal = self.search.search.proposals[number]
            known = self.waiting[number]
            known[identity] = score
            if len(known) == len(proposal.trials):
                del self.waiting[number]
                values = [float("nan") if v is None else v for v in known.values()]
                self.search.tell(number, mean_score(values), error)
