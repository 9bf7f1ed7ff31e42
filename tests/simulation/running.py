"""simulate(): runs of a state machine with a fixed seed."""

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


def simulate(
    machine: type[RuleBasedStateMachine], *, runs: int, by_seed: int, steps: int = 5, shrink: bool = True
) -> None:
    """Run `machine` `runs` times with at most `steps` rules each. Raise the first failure.

    `by_seed` decides the random choices. With `shrink`, Hypothesis looks for the shortest failing run.
    """
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
