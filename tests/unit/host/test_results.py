"""What became of changes, as the two processes say it."""

from ginnel.host.messages import read_results, results_record
from ginnel.host.results import ChangeResult, Outcome


def test_every_outcome_crosses_to_the_other_process() -> None:
    results = tuple(ChangeResult(outcome=outcome, what="route 10.0.0.0/8") for outcome in Outcome)
    assert read_results(results_record(results)) == results
