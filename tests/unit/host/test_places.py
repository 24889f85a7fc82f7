"""Where journals are: the one place that everybody means who names none."""

import inspect

from ginnel.host.helper_process import start_helper
from ginnel.host.places import DEFAULT_RUNTIME_DIR
from ginnel.host.recover import restore


def test_writer_and_recovery_look_at_the_same_place() -> None:
    for function in (start_helper, restore):
        assert inspect.signature(function).parameters["runtime_dir"].default == DEFAULT_RUNTIME_DIR
