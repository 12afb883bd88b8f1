"""What the tests of this room share."""

import pytest

from rembrandt_featgen.core.errors import InputError


def refused(call, *words):
    """Calls what must raise an InputError of one line that holds the words."""
    with pytest.raises(InputError) as caught:
        call()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for word in words:
        assert str(word) in message, message


def summary(cohort):
    """(id, label) of each patient."""
    return [(patient.id, patient.label) for patient in cohort.patients]
