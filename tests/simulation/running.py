"""Runs of a machine: so many, of so many steps, drawn by a seed."""

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def simulate(
    machine: type[RuleBasedStateMachine], *, runs: int, by_seed: int, steps: int = 5, shrink: bool = True
) -> None:
    """Run the machine, and raise what it finds, with the shortest way to it."""
    drawn = seed(by_seed)(type(machine.__name__, (machine,), {}))
    run_state_machine_as_test(
        drawn,
        settings=settings(
            max_examples=runs,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        ),
    )
